package experiment

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"yardmaster/internal/experiment/spec"
)

// purse keeps an experiment within its budget: an evaluation is paid for, at its dearest, before it starts.
type purse struct {
	mu       sync.Mutex
	budget   Budget
	dearest  time.Duration
	runs     int // made or under way
	spent    time.Duration
	reserved time.Duration
	changed  chan struct{} // closed and made anew when something is given back
	refused  bool
}

func newPurse(st *state, run spec.Run) *purse {
	return &purse{budget: st.budget(), dearest: run.Timeout, runs: st.Runs, spent: time.Duration(st.WallMs) * time.Millisecond,
		changed: make(chan struct{})}
}

// reserve takes what an evaluation may cost at most. It waits for what others may give back; false says that the budget is
// spent, or that ctx ended.
func (p *purse) reserve(ctx context.Context) bool {
	for {
		p.mu.Lock()
		limit := time.Duration(p.budget.Seconds) * time.Second
		runsLeft := p.budget.Evaluations == 0 || p.runs < p.budget.Evaluations
		timeLeft := limit == 0 || p.spent+p.reserved+p.dearest <= limit
		if runsLeft && timeLeft {
			p.runs++
			p.reserved += p.dearest
			p.mu.Unlock()
			return true
		}
		if !runsLeft || p.reserved == 0 {
			p.refused = true
			p.mu.Unlock()
			return false
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// settle gives back what an evaluation did not take.
func (p *purse) settle(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reserved -= p.dearest
	p.spent += took
	close(p.changed)
	p.changed = make(chan struct{})
}

// empty tells that an evaluation was refused.
func (p *purse) empty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused
}

// note says in a plain sentence that the budget is spent.
func (p *purse) note() string {
	var parts []string
	if p.budget.Evaluations > 0 {
		parts = append(parts, count(p.budget.Evaluations, "evaluation", "evaluations"))
	}
	if p.budget.Seconds > 0 {
		parts = append(parts, fmt.Sprintf("%d seconds", p.budget.Seconds))
	}
	return "The budget of " + strings.Join(parts, " and ") + " does not allow another evaluation, so not everything was scored."
}
