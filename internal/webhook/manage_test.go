package webhook

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/op"
)

func TestManage(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), newTalker(), false)
	a := w.create(t, CreateIn{Name: "a", PromptTemplate: "Look at {{payload}}"})
	if !a.Enabled || a.Signature != none || a.RequireSignature || a.SigningSecret != "" || a.LastDeliveryAt != nil {
		t.Errorf("made %+v", a)
	}
	w.create(t, CreateIn{Name: "b", PromptTemplate: "{{payload}}"})
	for _, tt := range []struct {
		name string
		in   CreateIn
		want errs.Code
	}{
		{"the same name", CreateIn{Name: "a", PromptTemplate: "{{payload}}"}, errs.Conflict},
		{"no name", CreateIn{PromptTemplate: "{{payload}}"}, errs.Invalid},
		{"a slash", CreateIn{Name: "a/b", PromptTemplate: "{{payload}}"}, errs.Invalid},
		{"an id", CreateIn{Name: a.ID, PromptTemplate: "{{payload}}"}, errs.Invalid},
		{"the trigger's path", CreateIn{Name: "trigger", PromptTemplate: "{{payload}}"}, errs.Invalid},
		{"no placeholder", CreateIn{Name: "c", PromptTemplate: "{{ payload }}"}, errs.Invalid},
		{"too many placeholders", CreateIn{Name: "c", PromptTemplate: strings.Repeat("{{payload}}", maxPlaces+1)}, errs.Invalid},
		{"required but not signed", CreateIn{Name: "c", PromptTemplate: "{{payload}}", Signature: ptr(none), RequireSignature: ptr(true)}, errs.Invalid},
		{"a secret for nothing", CreateIn{Name: "c", PromptTemplate: "{{payload}}", SigningSecret: ptr("0123456789abcdef")}, errs.Invalid},
		{"a short secret", CreateIn{Name: "c", PromptTemplate: "{{payload}}", Signature: ptr(github), SigningSecret: ptr("hunter2")}, errs.Invalid},
		{"not of Standard Webhooks", CreateIn{Name: "c", PromptTemplate: "{{payload}}", Signature: ptr(standard), SigningSecret: ptr("whsec_hunter2hunter2")}, errs.Invalid},
	} {
		_, err := w.Create(w.ctx, tt.in)
		if !errs.Is(err, tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows the secret: %v", tt.name, err)
		}
	}
	if _, err := w.Create(w.ctx, CreateIn{Name: "c", PromptTemplate: "nothing"}); err == nil || !strings.Contains(err.Error(), placeholder) {
		t.Errorf("the error does not say how to mend the template: %v", err)
	}
	for _, in := range []UpdateIn{{ID: "a", Name: ptr("b")}, {ID: "a", PromptTemplate: ptr("x")}, {ID: "a", RotateSigningSecret: true}} {
		if _, err := w.Update(w.ctx, in); err == nil {
			t.Errorf("%+v was taken", in)
		}
	}
	out, err := w.Update(w.ctx, UpdateIn{ID: "a", Name: ptr("c"), Enabled: ptr(false)})
	if err != nil || out.Webhook.Name != "c" || out.Webhook.Enabled || out.Webhook.PromptTemplate != "Look at {{payload}}" || out.Webhook.Token != "" {
		t.Errorf("changed: %+v, %v", out.Webhook, err)
	}
	page, err := w.List(w.ctx, ListIn{Limit: 1})
	if err != nil || len(page.Webhooks) != 1 || page.Webhooks[0].Name != "c" {
		t.Fatalf("page 1: %+v, %v", page, err)
	}
	if page, err = w.List(w.ctx, ListIn{Limit: 5, After: page.Next}); err != nil || len(page.Webhooks) != 1 || page.Webhooks[0].Name != "b" || page.Next != "" {
		t.Errorf("page 2: %+v, %v", page, err)
	}
}

func TestTwoAccounts(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), newTalker(), true)
	hook := w.create(t, CreateIn{Name: "a", PromptTemplate: "{{payload}}"})
	got := w.taken(t, hook.Token, "1")
	w.finished(t, 1)
	mine := w.ctx
	w.ctx = op.WithActor(t.Context(), op.System("other"))
	for name, err := range map[string]error{
		"get":        second(w.Get(w.ctx, GetIn{ID: hook.ID})),
		"update":     second(w.Update(w.ctx, UpdateIn{ID: hook.ID, RegenerateToken: true})),
		"delete":     second(w.Delete(w.ctx, GetIn{ID: hook.ID})),
		"deliveries": second(w.Deliveries(w.ctx, DeliveriesIn{ID: hook.ID})),
		"replay":     second(w.Replay(w.ctx, ReplayIn{ID: hook.ID, Delivery: got.DeliveryID})),
	} {
		if !errs.Is(err, errs.NotFound) {
			t.Errorf("%s by another account: %v", name, err)
		}
	}
	if out, err := w.List(w.ctx, ListIn{}); err != nil || len(out.Webhooks) != 0 {
		t.Errorf("another account sees %+v, %v", out, err)
	}
	own := w.create(t, CreateIn{Name: "a", PromptTemplate: "{{payload}}"}) // the same name in another account
	if _, err := w.Replay(w.ctx, ReplayIn{ID: own.ID, Delivery: got.DeliveryID}); !errs.Is(err, errs.NotFound) {
		t.Errorf("another account's delivery is replayed: %v", err)
	}
	if out, err := w.Get(mine, GetIn{ID: "a"}); err != nil || out.Webhook.ID != hook.ID {
		t.Errorf("my own: %+v, %v", out, err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestReplay(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), newTalker(), true)
	hook := w.create(t, CreateIn{Name: "a", PromptTemplate: "old {{payload}}"})
	w.talk.fail = "the model is down"
	got := w.taken(t, hook.Token, `{"n":1}`, "webhook-id", "m1")
	<-w.talk.ended
	w.talk.hold = make(chan struct{})
	later := w.taken(t, hook.Token, `{"n":2}`)
	for len(w.texts()) < 2 { // the second one runs only when the end of the first is stored
		<-w.talk.spoken
	}
	if _, err := w.Replay(w.ctx, ReplayIn{ID: "a", Delivery: later.DeliveryID}); !errs.Is(err, errs.Conflict) {
		t.Errorf("replay of what goes on: %v", err)
	}
	if _, err := w.Update(w.ctx, UpdateIn{ID: "a", PromptTemplate: ptr("new {{payload}}"), Enabled: ptr(false)}); err != nil {
		t.Fatal(err)
	}
	out, err := w.Replay(w.ctx, ReplayIn{ID: "a", Delivery: got.DeliveryID})
	if err != nil || out.Delivery.ID == got.DeliveryID || out.Delivery.ReplayOf != got.DeliveryID || out.Delivery.Status != statusQueued {
		t.Fatalf("replay: %+v, %v", out, err)
	}
	close(w.talk.hold)
	w.finished(t, 2)
	want := []string{`old <payload>{"n":1}</payload>`, `old <payload>{"n":2}</payload>`, `new <payload>{"n":1}</payload>`}
	if diff := cmp.Diff(want, w.talk.texts()); diff != "" {
		t.Error(diff)
	}
	ds := w.deliveries(t, "a")
	if len(ds) != 3 || ds[2].Status != statusFailed || ds[2].Detail != "the model is down" {
		t.Errorf("got %+v", ds)
	}
}

func (w *world) texts() []string { return w.talk.texts() }

// The turn has the rights of the person who wrote the template, not all rights.
func TestRights(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), newTalker(), true)
	all := w.ctx
	w.ctx = op.WithActor(t.Context(), op.Actor{Account: "acct", Scopes: []string{"webhooks:write", "instances:read"}})
	hook := w.create(t, CreateIn{Name: "a", PromptTemplate: "{{payload}}"})
	first := w.taken(t, hook.Token, "1")
	if _, err := w.Update(all, UpdateIn{ID: "a", Enabled: ptr(true)}); err != nil { // changes no words
		t.Fatal(err)
	}
	same := w.taken(t, hook.Token, "2")
	if _, err := w.Update(all, UpdateIn{ID: "a", PromptTemplate: ptr("do {{payload}}")}); err != nil {
		t.Fatal(err)
	}
	next := w.taken(t, hook.Token, "3")
	w.finished(t, 3)
	for id, want := range map[string][]string{
		first.DeliveryID: {"webhooks:write", "instances:read"}, same.DeliveryID: {"webhooks:write", "instances:read"}, next.DeliveryID: {"*"},
	} {
		if diff := cmp.Diff(want, w.talk.actors[id].Scopes); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
	}
}

// What can never be said fails, and what comes after it goes on.
func TestUnsayable(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), newTalker(), false)
	hook := w.create(t, CreateIn{Name: "a", PromptTemplate: "{{payload}}"})
	w.talk.errs = []error{errs.BadField("messages", "the message is empty")}
	w.taken(t, hook.Token, "1")
	w.taken(t, hook.Token, "2")
	w.taken(t, hook.Token, "3")
	err := w.d.Update(t.Context(), func(tx *db.Tx) error { // the second has been tried often already
		_, err := tx.Exec(`UPDATE webhook_deliveries SET attempts = ? WHERE payload = '2'`, maxAttempts-1)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.talk.errs = append(w.talk.errs, errs.New(errs.Unavailable, "The Operator is away."))
	if err := w.q.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.finished(t, 1)
	var got []string
	for _, d := range w.deliveries(t, "a") {
		got = append(got, fmt.Sprint(d.Payload, " ", d.Status, " ", d.Detail))
	}
	if diff := cmp.Diff([]string{"3 done ", "2 failed The Operator is away.", "1 failed messages: the message is empty"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestDeletedUnderWay(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), newTalker(), true)
	w.talk.hold = make(chan struct{})
	hook := w.create(t, CreateIn{Name: "a", PromptTemplate: "{{payload}}"})
	w.taken(t, hook.Token, "1")
	w.taken(t, hook.Token, "2")
	<-w.talk.spoken
	if _, err := w.Delete(w.ctx, GetIn{ID: "a"}); err != nil {
		t.Fatal(err)
	}
	close(w.talk.hold)
	w.finished(t, 1)
	if got := w.texts(); len(got) != 1 {
		t.Errorf("said %q", got)
	}
	if events, err := w.events.List(t.Context(), "acct", hook.ID, 0, 10); err != nil || len(events) != 0 {
		t.Errorf("the deleted webhook has events: %+v, %v", events, err)
	}
}

func TestOldDeliveriesGo(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), newTalker(), false)
	hook := w.create(t, CreateIn{Name: "a", PromptTemplate: "{{payload}}"})
	var ids []string
	for i := range 6 {
		ids = append(ids, w.taken(t, hook.Token, fmt.Sprint(i)).DeliveryID)
		w.move(time.Hour)
	}
	err := w.d.Update(t.Context(), func(tx *db.Tx) error {
		for _, id := range append(ids[:1:1], ids[2:]...) { // the second is still open
			d, err := getDelivery(tx, "acct", hook.ID, id)
			if err != nil {
				return err
			}
			if _, err := finishDelivery(tx, d, statusDone, "", w.now()); err != nil {
				return err
			}
		}
		return prune(tx, "acct", hook.ID, w.now().Add(-100*time.Hour), 2)
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{ids[5], ids[4], ids[1]}, idsOf(w.deliveries(t, "a"))); diff != "" {
		t.Error(diff)
	}
	err = w.d.Update(t.Context(), func(tx *db.Tx) error {
		return prune(tx, "acct", hook.ID, w.now().Add(-90*time.Minute), 100)
	})
	if diff := cmp.Diff([]string{ids[5], ids[1]}, idsOf(w.deliveries(t, "a"))); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func idsOf(ds []Delivery) []string {
	var ids []string
	for _, d := range ds {
		ids = append(ids, d.ID)
	}
	return ids
}

func TestDeliveriesShowLongPayloadsInPart(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), newTalker(), false)
	hook := w.create(t, CreateIn{Name: "a", PromptTemplate: "{{payload}}"})
	long := `"` + strings.Repeat("é", 1000) + `"`
	w.taken(t, hook.Token, long)
	d := w.deliveries(t, "a")[0]
	if !d.Truncated || len(d.Payload) > shownPayload || !strings.HasPrefix(long, d.Payload) || strings.ToValidUTF8(d.Payload, "") != d.Payload {
		t.Errorf("got %+v", d)
	}
	out, err := w.Deliveries(w.ctx, DeliveriesIn{ID: "a", Full: true})
	if err != nil || out.Deliveries[0].Payload != long || out.Deliveries[0].Truncated {
		t.Errorf("whole: %+v, %v", out, err)
	}
}

// A slow or refused body is an answer, not a hang; and the server itself is used, because the recorder has no deadlines.
func TestOverTheWire(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), newTalker(), true)
	hook := w.create(t, CreateIn{Name: "a", PromptTemplate: "{{payload}}"})
	base := serve(t, w.mux)
	for _, tt := range []struct {
		body string
		want int
	}{{`{"a":1}`, 202}, {strings.Repeat(" ", 3<<20), 413}} {
		for _, chunked := range []bool{false, true} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+triggerPath+hook.Token, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if chunked {
				req.ContentLength = -1
			}
			res, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatalf("%d bytes: %v", len(tt.body), err)
			}
			_ = res.Body.Close()
			if res.StatusCode != tt.want {
				t.Errorf("%d bytes, chunked %v: %d, want %d", len(tt.body), chunked, res.StatusCode, tt.want)
			}
		}
	}
	w.finished(t, 2)
}

// serve serves on a port of its own until the test ends.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() { http.DefaultTransport.(*http.Transport).CloseIdleConnections(); s.Close() })
	return s.URL
}

// BenchmarkTrigger measures a signed call from its first byte to the answer, with the delivery durable.
func BenchmarkTrigger(b *testing.B) {
	w := open(b, b.TempDir(), newTalker(), false)
	hook := w.create(b, CreateIn{Name: "a", PromptTemplate: "{{payload}}", RequireSignature: ptr(true)})
	body := `{"reason":"` + strings.Repeat("x", 1000) + `"}`
	for i := 0; b.Loop(); i++ {
		if i%(maxWaiting-1) == 0 {
			b.StopTimer()
			if err := w.d.Update(b.Context(), func(tx *db.Tx) error { _, err := tx.Exec(`DELETE FROM webhook_deliveries`); return err }); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		w.move(refill)
		w.taken(b, hook.Token, body, sign(b, hook.SigningSecret, fmt.Sprint("m", i), w.now(), body)...)
	}
}
