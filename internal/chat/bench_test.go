package chat_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"yardmaster/internal/chat"
	"yardmaster/internal/llm/script"
	"yardmaster/internal/uistream"
)

// BenchmarkTurn measures whole turns, each in a chat of its own: one tool call, then 200 deltas of text, followed by a
// reader to the end.
func BenchmarkTurn(b *testing.B) {
	for _, clients := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			y := open(b, echo(), script.Typical("things_list"))
			var n atomic.Int64
			b.ReportAllocs()
			b.SetParallelism((clients + 1) / 2)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					turn, err := y.chats.Send(me, chat.SendIn{ChatID: fmt.Sprintf("c%d", n.Add(1)), Messages: []uistream.Message{user("", "go")}})
					if err != nil {
						b.Error(err)
						return
					}
					seq, err := y.chats.FollowTurn(me, turn.ID)
					if err != nil {
						b.Error(err)
						return
					}
					for range seq {
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "turns/s")
		})
	}
}
