package uistream_test

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"yardmaster/internal/errs"
	"yardmaster/internal/uistream"
)

func TestClean(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{``, `null`},
		{`{"a": [1, 2 , "x y"]}`, `{"a":[1,2,"x y"]}`},
		{"{\n\"a\"\t:\r1}", `{"a":1}`},
		{`{"n":123456789012345678901234567890,"f":1e400,"z":-0.10}`, `{"n":123456789012345678901234567890,"f":1e400,"z":-0.10}`},
		{`{"__proto__":1}`, `{"[__proto__]":1}`},
		{`{"a":[{"__proto__":{"__proto__":"__proto__"}}]}`, `{"a":[{"[__proto__]":{"[__proto__]":"__proto__"}}]}`},
		{`{"\u005f_pro\u0074o__":1}`, `{"[__proto__]":1}`},
		{`{"constructor":{"prototype":1}}`, `{"[constructor]":{"prototype":1}}`},
		{`{"constructor":{"\u0070rototype":1}}`, `{"[constructor]":{"\u0070rototype":1}}`},
		{`{"constructor":"Ferrari"}`, `{"constructor":"Ferrari"}`},
		{`["__proto__","constructor"]`, `["__proto__","constructor"]`},
		{`{"\\__proto__":1,"x":"\"__proto__\":"}`, `{"\\__proto__":1,"x":"\"__proto__\":"}`},
		{"{\"a\":\"\xff\"}", `{"a":"` + "\uFFFD" + `"}`},
		{`{"a":<b>}`, `"{\"a\":<b>}"`},
		{`{"a":"<&>"}`, `{"a":"<&>"}`},
		{`nul`, `"nul"`},
		{`{} {}`, `"{} {}"`},
	} {
		if got := string(uistream.Clean(json.RawMessage(c.in))); got != c.want {
			t.Errorf("%s: got %s, want %s", c.in, got, c.want)
		}
	}
}

// forbidden tells whether a client's parser refuses a value.
func forbidden(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if k == "__proto__" || forbidden(e) {
				return true
			}
			if m, ok := e.(map[string]any); ok && k == "constructor" {
				if _, ok := m["prototype"]; ok {
					return true
				}
			}
		}
	case []any:
		for _, e := range v {
			if forbidden(e) {
				return true
			}
		}
	}
	return false
}

func FuzzClean(f *testing.F) {
	f.Add([]byte(`{"__proto__":{"constructor":{"prototype":[1, "\u0000"]}}}`))
	f.Add([]byte("{\"a\":\"\xff\xfe\\\"\"}"))
	f.Fuzz(func(t *testing.T, in []byte) {
		out := uistream.Clean(in)
		var v any
		if !json.Valid(out) || !utf8.Valid(out) || strings.ContainsAny(string(out), "\n\r") {
			t.Fatalf("%q gave %q", in, out)
		}
		if json.Unmarshal(out, &v) == nil && forbidden(v) {
			t.Fatalf("%q gave %q, which clients refuse", in, out)
		}
		if again := uistream.Clean(out); string(again) != string(out) {
			t.Fatalf("%q is not clean: %q", out, again)
		}
	})
}

func FuzzChunk(f *testing.F) {
	f.Add([]byte(`{"type":"text-delta","id":"1","delta":"x"}`))
	f.Add([]byte(`{"type":"tool-output-available","toolCallId":"c","output":null}`))
	f.Add([]byte(`{"type":"data-x","data":{"a":1},"transient":true}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := uistream.ParseChunk(raw)
		if err != nil {
			return
		}
		var b uistream.Builder
		_ = b.Apply(c)
		once := c.AppendJSON(nil)
		d, err := uistream.ParseChunk(once)
		if err != nil {
			t.Fatalf("%s is not read again: %v", once, err)
		}
		if twice := d.AppendJSON(nil); string(twice) != string(once) {
			t.Fatalf("%s became %s", once, twice)
		}
	})
}

func TestChunkForm(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]uistream.Chunk{
		`{"type":"start","messageId":"m","messageMetadata":{"chatId":"c"}}`: {Type: uistream.Start, MessageID: "m", Metadata: json.RawMessage(`{"chatId": "c"}`)},
		`{"type":"start"}`:                           {Type: uistream.Start, Metadata: json.RawMessage(`"no object"`)},
		`{"type":"start-step"}`:                      {Type: uistream.StartStep},
		`{"type":"text-delta","id":"t1","delta":""}`: {Type: uistream.TextDelta, ID: "t1"},
		`{"type":"text-delta","id":"t1","delta":"a\n\"\\\u0001\u007f` + "\uFFFD" + `é<"}`:                                     {Type: uistream.TextDelta, ID: "t1", Delta: "a\n\"\\\x01\x7f\xffé<"},
		`{"type":"tool-input-start","toolCallId":"c","toolName":"x","dynamic":true,"providerExecuted":true}`:                  {Type: uistream.InputStart, CallID: "c", Tool: "x"},
		`{"type":"tool-input-available","toolCallId":"c","toolName":"x","dynamic":true,"providerExecuted":true,"input":null}`: {Type: uistream.InputAvailable, CallID: "c", Tool: "x"},
		`{"type":"tool-output-available","toolCallId":"c","output":[1],"dynamic":true,"preliminary":true}`:                    {Type: uistream.OutputAvailable, CallID: "c", Output: json.RawMessage(`[ 1 ]`), Preliminary: true},
		`{"type":"tool-output-error","toolCallId":"c","errorText":"no","dynamic":true}`:                                       {Type: uistream.OutputError, CallID: "c", ErrorText: "no"},
		`{"type":"finish","finishReason":"stop"}`:                                                                             {Type: uistream.Finish, Reason: "stop"},
		`{"type":"finish"}`:                      {Type: uistream.Finish},
		`{"type":"abort"}`:                       {Type: uistream.Abort},
		`{"type":"error","errorText":""}`:        {Type: uistream.Error},
		`{"type":"data-x","id":"1","data":null}`: {Type: "data-x", ID: "1"},
	} {
		want = strings.ReplaceAll(want, `\u007f`, "\x7f")
		if got := string(c.AppendJSON(nil)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// What makes a client end with an error must be an error here.
func TestBuilderRefuses(t *testing.T) {
	t.Parallel()
	for _, chunks := range [][]string{
		{`{"type":"text-delta","id":"1","delta":"x"}`},
		{`{"type":"text-start","id":"1"}`, `{"type":"finish-step"}`, `{"type":"text-delta","id":"1","delta":"x"}`},
		{`{"type":"text-start","id":"1"}`, `{"type":"text-end","id":"1"}`, `{"type":"text-end","id":"1"}`},
		{`{"type":"reasoning-end","id":"1"}`},
		{`{"type":"tool-input-delta","toolCallId":"1","inputTextDelta":"x"}`},
		{`{"type":"tool-output-available","toolCallId":"1","output":1}`},
		{`{"type":"tool-output-available","toolCallId":"1"}`},
		{`{"type":"tool-output-error","toolCallId":"1","errorText":"x"}`},
		{`{"type":"error","errorText":"x"}`, `{"type":"finish"}`},
		{`{"type":"ping"}`},
		{`{}`},
		{`x`},
	} {
		var b uistream.Builder
		var err error
		for _, c := range chunks {
			err = b.ApplyJSON([]byte(c))
		}
		if err == nil {
			t.Errorf("%v was taken", chunks)
		}
	}
}

func genText(t *rapid.T, label string) string {
	return rapid.StringOfN(rapid.RuneFrom([]rune("aé🐎\n\"\\<\u2028\x00")), 0, 12, -1).Draw(t, label)
}

func genJSON() *rapid.Generator[json.RawMessage] {
	return rapid.Custom(func(t *rapid.T) json.RawMessage {
		return json.RawMessage(rapid.SampledFrom([]string{`null`, `1`, `"x"`, `{"a":[12345678901234567890]}`, `{"__proto__":{"a":"b"}}`, `[ {"constructor":{"prototype":{}}} ]`, `{"a":"\u005f"}`}).Draw(t, "json"))
	})
}

func genParts(t *rapid.T) []uistream.Part {
	var parts []uistream.Part
	for s := range rapid.IntRange(1, 3).Draw(t, "steps") {
		parts = append(parts, uistream.Part{Type: uistream.StepPart})
		for i := range rapid.IntRange(0, 4).Draw(t, "parts") {
			n := strconv.Itoa(s) + "." + strconv.Itoa(i)
			switch rapid.IntRange(0, 4).Draw(t, "kind") {
			case 0:
				parts = append(parts, uistream.Part{Type: uistream.TextPart, Text: genText(t, "text"), State: uistream.Done})
			case 1:
				parts = append(parts, uistream.Part{Type: uistream.ReasoningPart, ID: "r" + n, Text: genText(t, "reasoning"), State: uistream.Done})
			case 2:
				p := uistream.Part{Type: uistream.ToolPart, CallID: "c" + n, ToolName: "x", Input: genJSON().Draw(t, "input"), ProviderExecuted: true}
				switch p.State = rapid.SampledFrom([]uistream.State{uistream.InputWhole, uistream.Success, uistream.Failure}).Draw(t, "state"); p.State {
				case uistream.Success:
					p.Output = genJSON().Draw(t, "output")
					p.Preliminary = rapid.Bool().Draw(t, "preliminary")
				case uistream.Failure:
					p.ErrorText = "no" + genText(t, "error")
				}
				parts = append(parts, p)
			case 3:
				parts = append(parts, uistream.Part{Type: "data-x", ID: n, Data: genJSON().Draw(t, "data")})
			case 4:
				parts = append(parts, uistream.Part{Type: uistream.FilePart, MediaType: "text/plain", URL: "data:," + n})
			}
		}
	}
	return parts
}

// Folding the replay of a message gives the message, through the wire and through its stored form.
func TestReplayFolds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := uistream.Message{ID: "m", Role: uistream.Assistant, Parts: genParts(t)}
		n := 0
		b := uistream.Builder{}
		if err := b.Apply(uistream.Chunk{Type: uistream.Start, MessageID: "m"}); err != nil {
			t.Fatal(err)
		}
		for _, c := range uistream.Replay(m.Parts, rapid.Bool().Draw(t, "open"), func() string { n++; return strconv.Itoa(n) }) {
			if err := b.ApplyJSON(c.AppendJSON(nil)); err != nil {
				t.Fatal(err)
			}
		}
		want, got := string(m.AppendJSON(nil)), string(b.Message.AppendJSON(nil))
		if want != got {
			t.Fatalf("want %s\ngot  %s", want, got)
		}
		var stored uistream.Message
		if err := json.Unmarshal([]byte(want), &stored); err != nil {
			t.Fatal(err)
		}
		if again := string(stored.AppendJSON(nil)); again != want {
			t.Fatalf("stored %s\nread   %s", want, again)
		}
	})
}

func TestReadMessages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want, fails string }{
		{`{"role":"user","content":"hi"}`, `{"id":"","role":"user","parts":[{"type":"text","text":"hi"}]}`, ""},
		{`{"id":"a","role":"user","parts":[{"type":"text","text":"hi","x":1}],"more":{}}`, `{"id":"a","role":"user","parts":[{"type":"text","text":"hi"}]}`, ""},
		{`{"id":"a","role":"assistant","parts":null,"metadata":null}`, `{"id":"a","role":"assistant","parts":[]}`, ""},
		{`{"id":"a","role":"assistant","parts":[{"type":"source-url","id":5,"url":7}],"metadata":{"a":1}}`, `{"id":"a","role":"assistant","metadata":{"a":1},"parts":[{"type":"source-url"}]}`, ""},
		{`{"role":"user","parts":[{"type":"text","text":7}]}`, "", "parts.0"},
		{`{"role":"user","parts":[null]}`, "", "not an object"},
		{`{"role":"user","parts":{}}`, "", "parts"},
		{`{"role":5}`, "", "role"},
	} {
		var m uistream.Message
		err := json.Unmarshal([]byte(c.in), &m)
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s: %v, want %q", c.in, err, c.fails)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if diff := cmp.Diff(c.want, string(m.AppendJSON(nil))); diff != "" {
			t.Errorf("%s: %s", c.in, diff)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	text := func(s string) uistream.Message {
		return uistream.Message{Role: uistream.User, Parts: []uistream.Part{{Type: uistream.TextPart, Text: s}}}
	}
	for _, c := range []struct {
		m    uistream.Message
		code errs.Code
	}{
		{text("hi"), ""},
		{text(""), errs.Invalid},
		{text(" \n\t"), errs.Invalid},
		{text(strings.Repeat("x", uistream.MaxText+1)), errs.TooLarge},
		{uistream.Message{Role: uistream.User}, errs.Invalid},
		{uistream.Message{Role: uistream.User, ID: strings.Repeat("x", 129), Parts: text("a").Parts}, errs.Invalid},
		{uistream.Message{Role: uistream.User, Parts: []uistream.Part{{Type: uistream.FilePart}}}, errs.Invalid},
		{uistream.Message{Role: uistream.User, Parts: []uistream.Part{{Type: uistream.FilePart, MediaType: "a/b", URL: "data:,x"}}}, ""},
		{uistream.Message{Role: uistream.User, Parts: []uistream.Part{{Type: uistream.FilePart, MediaType: "a/b", URL: strings.Repeat("x", uistream.MaxFiles+1)}}}, errs.TooLarge},
		{uistream.Message{Role: uistream.User, Parts: []uistream.Part{{Type: "data-x"}}}, errs.Invalid},
	} {
		if _, err := uistream.CheckNew(c.m, "messages.0"); errs.CodeOf(err) != c.code {
			t.Errorf("%.80v: %v, want %q", c.m, err, c.code)
		}
	}
	got, err := uistream.CheckNew(text("a\xff\x00b"), "messages.0")
	if err != nil || got.Text() != "a\uFFFD\uFFFDb" {
		t.Errorf("%q, %v", got.Text(), err)
	}
	for _, list := range [][]uistream.Message{nil, {{Role: "tool"}}, {{}}, make([]uistream.Message, uistream.MaxMessages+1)} {
		if uistream.Validate(list) == nil {
			t.Errorf("a list of %d was taken", len(list))
		}
	}
}

// The file holds streams and the messages that the client of the npm package ai (7.0.173; 6.0.326 and 5.0.277 agree)
// built of them.
func TestBuilderIsTheClient(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/client.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name    string
		Chunks  []json.RawMessage
		Error   string
		Message any
	}
	if err := json.Unmarshal(raw, &cases); err != nil || len(cases) == 0 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, c := range cases {
		var b uistream.Builder
		for _, chunk := range c.Chunks {
			if err := b.ApplyJSON(chunk); err != nil {
				t.Errorf("%s: %v in %s", c.Name, err, chunk)
			}
		}
		var got any
		if err := json.Unmarshal(b.Message.AppendJSON(nil), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.Message, got); diff != "" || b.Failed != c.Error {
			t.Errorf("%s: error %q, want %q (-client +ours):\n%s", c.Name, b.Failed, c.Error, diff)
		}
	}
}
