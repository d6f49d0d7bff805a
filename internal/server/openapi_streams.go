package server

// streamEntry describes an endpoint that is no operation.
type streamEntry struct {
	method, path, tag string
	needs             string // the operation without which the endpoint makes no sense; "" for none
	entry             func() dict
}

var streamEntries = []streamEntry{
	{"post", "/api/chat", "chats", "", chatEntry},
	{"get", "/api/chat/{id}/stream", "chats", "", resumeEntry},
	{"get", "/api/experiments/{id}/events", "experiments", "experiments.get", eventsEntry},
}

const uiStreamDoc = "Server-sent events in the UI message stream format, version 1, of the npm package ai: each event's data is one chunk as JSON, the last one is [DONE]."

func sentence(description string) dict {
	return dict{"description": description, "content": dict{"text/plain": dict{"schema": dict{"type": "string"}}}}
}

func chatEntry() dict {
	example := dict{"messages": []any{dict{"role": "user", "parts": []any{dict{"type": "text", "text": "List my instances"}}}}}
	return dict{
		"operationId": "chat.send", "tags": []any{"chats"}, "x-scope": writeChats, "x-effect": "write",
		"summary": "Send a message to the Operator",
		"description": "Sends a message and answers with the Operator's turn, as an event stream or, with x-response-format: json, as one object at its end. " +
			"The server keeps the history and uses only what is new in messages. The turn goes on when the connection is closed: read it again with " +
			"GET /api/chat/{id}/stream, end it with POST /api/chat/{id}/stop. Fields that are not listed are ignored.",
		"parameters": []any{dict{
			"name": "x-response-format", "in": "header", "required": false, "schema": dict{"type": "string", "enum": []any{"json", "stream"}},
			"description": "json answers with one object when the turn has ended; left out, or stream, streams it.",
		}},
		"requestBody": dict{"required": true, "content": dict{"application/json": dict{"schema": refTo("ChatRequest"), "example": example}}},
		"responses": dict{
			"200": dict{
				"description": "The turn.",
				"headers": dict{
					"x-chat-id": dict{"description": "The chat; pass it as id to go on in it.", "schema": dict{"type": "string"}},
					"x-turn-id": dict{"description": "The turn.", "schema": dict{"type": "string"}},
				},
				"content": dict{
					"text/event-stream": dict{"schema": dict{"type": "string", "description": uiStreamDoc}},
					"application/json":  dict{"schema": refTo("ChatAnswer")},
				},
			},
			"default": dict{
				"description": "A refusal: one plain sentence, because chat clients show it to people as it is; a problem with x-response-format: json.",
				"content": dict{
					"text/plain":               dict{"schema": dict{"type": "string"}},
					"application/problem+json": dict{"schema": refTo("Problem")},
				},
			},
		},
	}
}

func pathID(description string) dict {
	return dict{"name": "id", "in": "path", "required": true, "schema": dict{"type": "string"}, "description": description}
}

func resumeEntry() dict {
	return dict{
		"operationId": "chat.resume", "tags": []any{"chats"}, "x-scope": readChats, "x-effect": "read",
		"summary":     "Follow the running turn of a chat",
		"description": "Replays the running turn from its first chunk, with the same ids, and follows it to its end. Several clients may follow one turn.",
		"parameters":  []any{pathID("The chat.")},
		"responses": dict{
			"200":     dict{"description": "The turn.", "content": dict{"text/event-stream": dict{"schema": dict{"type": "string", "description": uiStreamDoc}}}},
			"204":     dict{"description": "No turn runs in this chat, or there is no such chat."},
			"default": sentence("A refusal: one plain sentence."),
		},
	}
}

func eventsEntry() dict {
	return dict{
		"operationId": "experiments.events", "tags": []any{"experiments"}, "x-scope": readExperiments, "x-effect": "read",
		"summary": "Follow an experiment",
		"description": "Server-sent events of the experiment: those of the past with numbers above after, then each as it happens. Each event has its number as id, " +
			"its type as event and {stream, seq, type, data, at} as data. A browser's EventSource goes on where it was (Last-Event-ID).",
		"parameters": []any{
			pathID("The experiment, by id or name."),
			dict{"name": "after", "in": "query", "required": false, "schema": dict{"type": "integer", "minimum": 0}, "description": "The number of the last event that was seen."},
		},
		"responses": dict{
			"200":     dict{"description": "The events.", "content": dict{"text/event-stream": dict{"schema": dict{"type": "string"}}}},
			"default": dict{"$ref": "#/components/responses/Problem"},
		},
	}
}

// chatSchemas are the schemas of the chat endpoints.
func chatSchemas() dict {
	text := func(doc string) dict { return dict{"type": "string", "description": doc} }
	return dict{
		"ChatRequest": dict{
			"type": "object",
			"properties": dict{
				"id": text("The chat. A new one may have an id of the client's making: up to 128 letters, digits, _ and -. Left out, the server makes one."),
				"messages": dict{
					"type": "array", "items": refTo("ChatMessage"), "minItems": 1,
					"description": "At least the new message; the whole history may be sent along. A single one may also be sent as message.",
				},
				"message":   refTo("ChatMessage"),
				"trigger":   dict{"type": "string", "enum": []any{SubmitMessage, RegenerateMessage}, "default": SubmitMessage, "description": "What is asked for: an answer to a new message, or another answer."},
				"messageId": text("The user message that is edited, or the answer that is to be made anew."),
				"model":     text("The model for this turn, as PROVIDER/NAME."),
			},
		},
		"ChatMessage": dict{
			"type": "object", "required": []string{"role", "parts"},
			"properties": dict{
				"id":   text("The message's id."),
				"role": dict{"type": "string", "enum": []any{"user", "assistant", "system"}},
				"parts": dict{"type": "array", "description": "Texts and files; of older messages also what else they hold.", "items": dict{
					"type": "object", "required": []string{"type"},
					"properties": dict{
						"type": text(`"text", "file" or a type of a part that the server sent.`), "text": text("The text of a text part."),
						"url": text("The file of a file part, as a data URL."), "mediaType": text("The type of a file part."), "filename": text("The name of a file part."),
					},
				}},
			},
		},
		"ChatAnswer": dict{
			"type": "object", "required": []string{"chatId", "turnId", "text"},
			"properties": dict{
				"chatId": text("The chat; pass it as id to go on in it."), "turnId": text("The turn; GET /api/turns/{id} shows what it did."),
				"text": text("The answer."), "stopped": dict{"type": "boolean", "description": "true when somebody stopped the turn before it was done."},
			},
		},
	}
}
