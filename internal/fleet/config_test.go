package fleet_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"yardmaster/internal/errs"
	"yardmaster/internal/fleet"
	"yardmaster/internal/sandbox"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	text := func(s string) *string { return &s }
	num := func(n int) *int { return &n }
	y.makeWith(fleet.CreateIn{Name: "w", Config: &fleet.ConfigChange{Environment: map[string]*string{"DEBUG_SQL": text("1"), "KEEP_ME": text("yes")}}})
	out, err := y.UpdateConfig(y.ctx, fleet.UpdateConfigIn{ID: "w", ConfigChange: fleet.ConfigChange{
		Model: text("openai/gpt-4.1-mini"), Instructions: text("Answer only in French."),
		Environment: map[string]*string{"DEBUG_SQL": nil, "REGION": text("eu-north"), "EMPTY": text(""), "NOT_THERE": nil},
		EgressAllow: &[]string{"API.github.com.", " *.example.com ", "api.github.com"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	expected := fleet.Config{
		Model: "openai/gpt-4.1-mini", Instructions: "Answer only in French.",
		Environment: map[string]string{"KEEP_ME": "yes", "REGION": "eu-north", "EMPTY": ""},
		Limits:      fleet.Limits{MemoryMB: 2048, Processes: 512, DiskMB: 2048, CPUSeconds: 3600},
		EgressAllow: []string{"api.github.com", "*.example.com"},
	}
	if diff := cmp.Diff(expected, out.Config); diff != "" || out.Revision != 2 {
		t.Errorf("revision %d: %s", out.Revision, diff)
	}
	if got := y.run("w", "echo $REGION $DEBUG_SQL").Stdout; got != "eu-north\n" {
		t.Errorf("the next command sees %q", got)
	}
	// The same again changes nothing.
	if out, err = y.UpdateConfig(y.ctx, fleet.UpdateConfigIn{ID: "w", ConfigChange: fleet.ConfigChange{Model: text("openai/gpt-4.1-mini")}}); err != nil || out.Revision != 2 {
		t.Errorf("revision %d, %v", out.Revision, err)
	}
	stale := int64(1)
	_, err = y.UpdateConfig(y.ctx, fleet.UpdateConfigIn{ID: "w", Revision: &stale, ConfigChange: fleet.ConfigChange{Model: text("x")}})
	want(t, err, errs.Conflict, "revision 2")
	if out, err = y.UpdateConfig(y.ctx, fleet.UpdateConfigIn{ID: "w", ConfigChange: fleet.ConfigChange{Limits: &fleet.LimitsChange{MemoryMB: num(384)}, EgressAllow: &[]string{}}}); err != nil ||
		out.Config.Limits.MemoryMB != 384 || out.Config.Limits.Processes != 512 || len(out.Config.EgressAllow) != 0 || out.Note != "" {
		t.Errorf("%+v %v", out, err)
	}
	if y.fake.starts < 2 {
		t.Error("nothing ran in the instance, so the new limit should hold at once")
	}
	long := strings.Repeat("x", 64<<10)
	for field, ch := range map[string]fleet.ConfigChange{
		"model":             {Model: text("two words")},
		"instructions":      {Instructions: text(long + "x")},
		"environment":       {Environment: map[string]*string{"A-B": text("1")}},
		"environment.A":     {Environment: map[string]*string{"A": text("x\x00y")}},
		"limits.memoryMb":   {Limits: &fleet.LimitsChange{MemoryMB: num(15)}},
		"limits.processes":  {Limits: &fleet.LimitsChange{Processes: num(0)}},
		"limits.diskMb":     {Limits: &fleet.LimitsChange{DiskMB: num(1 << 21)}},
		"limits.cpuSeconds": {Limits: &fleet.LimitsChange{CPUSeconds: num(-1)}},
		"egressAllow.1":     {EgressAllow: &[]string{"ok.example.com", "10.0.0.1"}},
	} {
		_, err := y.UpdateConfig(y.ctx, fleet.UpdateConfigIn{ID: "w", ConfigChange: ch})
		if e := errs.Public(err); e.Code != errs.Invalid || len(e.Fields) != 1 || e.Fields[0].Path != field {
			t.Errorf("%s: %v", field, e)
		}
	}
	for _, host := range []string{"", "https://example.com", "example.com/path", "example.com:443", "::1", "[::1]", "*", "*.", "localhost", "exa mple.com", "*.*.com", "-a.com", "1.2.3", strings.Repeat("a.", 200) + "com", "user@example.com"} {
		_, err := y.UpdateConfig(y.ctx, fleet.UpdateConfigIn{ID: "w", ConfigChange: fleet.ConfigChange{EgressAllow: &[]string{host}}})
		if !errs.Is(err, errs.Invalid) {
			t.Errorf("host %q: %v", host, err)
		}
	}
	big := map[string]*string{"BIG": text(long), "BIG2": text(long)}
	_, err = y.UpdateConfig(y.ctx, fleet.UpdateConfigIn{ID: "w", ConfigChange: fleet.ConfigChange{Environment: big}})
	want(t, err, errs.Invalid, "environment")
	// After all that was refused the instance works as before.
	if got, err := y.GetConfig(y.ctx, fleet.RefIn{ID: "w"}); err != nil || got.Revision != 3 {
		t.Errorf("%+v %v", got, err)
	}
	if got := y.run("w", "echo $REGION").Stdout; got != "eu-north\n" {
		t.Errorf("%q", got)
	}
}

// While something runs in the instance it is not ended for the sake of a limit, and the caller is told.
func TestLimitsSpareWhatRuns(t *testing.T) {
	t.Parallel()
	starts := make(chan int, 10) // the limit that each start was given
	y := newNativeYard(t, func(o *fleet.Options) {
		o.Driver = sandbox.Fault(o.Driver, sandbox.Faults{Start: func(spec sandbox.Spec) error {
			starts <- spec.Limits.Processes
			return nil
		}})
	})
	y.make("w")
	<-starts
	y.run("w", "sleep 1000 >/dev/null 2>&1 &")
	n := 300
	change := fleet.UpdateConfigIn{ID: "w", ConfigChange: fleet.ConfigChange{Limits: &fleet.LimitsChange{Processes: &n}}}
	out, err := y.UpdateConfig(y.ctx, change)
	if err != nil || !strings.Contains(out.Note, "next restart") {
		t.Errorf("%+v %v", out, err)
	}
	if got := y.run("w", "ps -e -o comm= | grep -c sleep").Stdout; got != "1\n" || len(starts) != 0 {
		t.Errorf("what ran was ended: %q, %d starts", got, len(starts))
	}
	if _, err := y.Restart(y.ctx, fleet.RefIn{ID: "w"}); err != nil {
		t.Fatal(err)
	}
	if got := <-starts; got != 300 {
		t.Errorf("after the restart: %d", got)
	}
	n = 200
	if out, err = y.UpdateConfig(y.ctx, change); err != nil || out.Note != "" {
		t.Errorf("%+v %v", out, err)
	}
	if y.run("w", "true"); len(starts) != 1 || <-starts != 200 {
		t.Error("with nothing running the new limit should hold at once")
	}
	if in := y.get("w"); in.Status != fleet.Active || in.Restarts != 1 {
		t.Errorf("%+v", in)
	}
}
