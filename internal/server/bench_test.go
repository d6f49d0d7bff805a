package server_test

import (
	"context"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"yardmaster/internal/server"
	"yardmaster/internal/uistream"
)

// burstChats answers at once with the chunks of a turn of two hundred deltas.
type burstChats struct {
	server.Chats
	chunks [][]byte
}

func (burstChats) Send(context.Context, server.ChatIn) (server.ChatTurn, error) {
	return server.ChatTurn{ID: "turn_1", ChatID: "chat_1", MessageID: "msg_1"}, nil
}

func (c burstChats) FollowTurn(context.Context, string) (iter.Seq[[]byte], error) {
	return func(yield func([]byte) bool) {
		for _, chunk := range c.chunks {
			if !yield(chunk) {
				return
			}
		}
	}, nil
}

// BenchmarkChatStream is the surface's share of a streamed turn.
func BenchmarkChatStream(b *testing.B) {
	chats := burstChats{chunks: [][]byte{uistream.Chunk{Type: uistream.Start, MessageID: "msg_1"}.AppendJSON(nil), uistream.Chunk{Type: uistream.TextStart, ID: "t1"}.AppendJSON(nil)}}
	for range 200 {
		chats.chunks = append(chats.chunks, uistream.Chunk{Type: uistream.TextDelta, ID: "t1", Delta: "a word "}.AppendJSON(nil))
	}
	chats.chunks = append(chats.chunks, uistream.Chunk{Type: uistream.Finish}.AppendJSON(nil))
	y := open(b, func(c *server.Config) { c.Chats, c.Log = chats, slog.New(slog.DiscardHandler) })
	y.client.Transport.(*http.Transport).MaxIdleConnsPerHost = 64
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			res, err := y.client.Do(y.request(context.Background(), call{method: "POST", path: "/api/chat", body: say("hello")}))
			if err != nil {
				b.Error(err)
				return
			}
			n, err := io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if err != nil || n < 5000 {
				b.Errorf("%d bytes, %v", n, err)
			}
		}
	})
}

// BenchmarkOperation is the surface's share of a small operation.
func BenchmarkOperation(b *testing.B) {
	y := open(b, func(c *server.Config) { c.Log = slog.New(slog.DiscardHandler) })
	y.client.Transport.(*http.Transport).MaxIdleConnsPerHost = 64
	body := `{"name":"a","labels":{"env":"test"},"config":{"limits":{"memoryMb":64}}}`
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if a := y.do(call{method: "POST", path: "/api/things", body: body}); a.status != 201 || !strings.Contains(a.body, "thing_1") {
				b.Errorf("%d %s", a.status, a.body)
			}
		}
	})
}
