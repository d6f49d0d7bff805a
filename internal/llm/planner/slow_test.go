package planner

import (
	"strings"
	"testing"
	"time"

	"yardmaster/internal/llm"
)

// TestFastOnAnyText bounds the time for long messages of every shape: nothing may grow with the square of its length.
func TestFastOnAnyText(t *testing.T) {
	t.Parallel()
	tools := fixtureTools(t)
	w := standardYard(t)
	messages, _ := converse(t, w, nil, "list my instances")
	for _, piece := range []string{"restart web-1 and ", "the ", ",", "in ", "1 ", "\"", "{", "[", "<a>", "every day at 9 ", "web-1, ", "a=b ", "and ", "not ", "x-1 ", "{\"a\":", "`", "(", "called ", "turn it ", "asdfgh ", "- a\n", "the first of the ", "with the text ", "web-1 to web-9 ", "half past ", "'", "${a", "if it is ", "description to "} {
		say := strings.Repeat(piece, maxRequest/len(piece))
		began := time.Now()
		checkStream(t, llm.Request{Messages: append(messages, userSays(say)...), Tools: tools})
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%q repeated: %v", piece, took)
		} else if took > 50*time.Millisecond {
			t.Logf("%q repeated: %v", piece, took)
		}
	}
}
