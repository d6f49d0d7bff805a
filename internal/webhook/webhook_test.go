package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/event"
	"yardmaster/internal/job"
	"yardmaster/internal/op"
	"yardmaster/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeTalker is an Operator that only remembers what it was told.
type fakeTalker struct {
	mu     sync.Mutex
	said   map[string]string   // idempotency key → text
	order  []string            // the texts
	actors map[string]op.Actor // idempotency key → who said it
	errs   []error             // what the next calls of Say answer
	fail   string              // why turns fail
	hold   chan struct{}       // turns end when it is closed
	spoken chan string         // gets each text that is said, again and again
	ended  chan string         // gets each turn that has ended
}

func newTalker() *fakeTalker {
	return &fakeTalker{said: map[string]string{}, actors: map[string]op.Actor{}, spoken: make(chan string, 5000), ended: make(chan string, 5000)}
}

func (f *fakeTalker) Say(ctx context.Context, _, _, _, text string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spoken <- text
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		return "", err
	}
	key := op.IdempotencyKey(ctx)
	if _, ok := f.said[key]; !ok {
		f.order = append(f.order, text)
	}
	f.said[key], f.actors[key] = text, op.ActorFrom(ctx)
	return "turn_" + key, nil
}

func (f *fakeTalker) Await(ctx context.Context, turn string) (string, error) {
	if f.hold != nil {
		select {
		case <-f.hold:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	f.ended <- turn
	return f.fail, nil
}

func (f *fakeTalker) texts() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string{}, f.order...)
}

// world is the service on a real database with a real job queue. The clock stands still until it is moved.
type world struct {
	*Service
	d    *db.DB
	q    *job.Queue
	talk *fakeTalker
	ctx  context.Context
	mux  *http.ServeMux

	mu   sync.Mutex
	time time.Time
}

func (w *world) move(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.time = w.time.Add(d)
}

// open opens the service on a folder; the queue runs when start is set.
func open(t testing.TB, dir string, talk *fakeTalker, start bool) *world {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(dir, "y.db"))
	if err != nil {
		t.Fatal(err)
	}
	events := event.New(d)
	seal, err := secret.New(t.Context(), secret.Options{DB: d, Events: events, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{d: d, talk: talk, ctx: op.WithActor(t.Context(), op.System("acct")), time: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)}
	w.q = job.New(d, slog.New(slog.DiscardHandler), true)
	w.Service = New(Options{DB: d, Events: events, Jobs: w.q, Talk: talk, Seal: seal, BaseURL: func() string { return "https://yard.example.com/" }})
	w.now = func() time.Time {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.time
	}
	w.mux = http.NewServeMux()
	w.mux.Handle(TriggerPattern, w.Handler(func(rw http.ResponseWriter, err error) {
		e := errs.Public(err)
		status := e.HTTPStatus
		if status == 0 {
			status = e.Code.Status()
		}
		http.Error(rw, e.Error(), status)
	}))
	if start {
		if err := w.q.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(w.close)
	return w
}

func (w *world) close() {
	w.q.Stop()
	_ = w.d.Close()
}

func (w *world) create(t testing.TB, in CreateIn) Webhook {
	t.Helper()
	out, err := w.Create(w.ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	return out.Webhook
}

// trigger calls a webhook; headers come as pairs.
func (w *world) trigger(method, token, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, triggerPath+token, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	w.mux.ServeHTTP(rec, r)
	return rec
}

// taken calls a webhook and fails the test unless the call is taken.
func (w *world) taken(t testing.TB, token, body string, headers ...string) Receipt {
	t.Helper()
	rec := w.trigger(http.MethodPost, token, body, headers...)
	var out Receipt
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil || rec.Code != http.StatusAccepted || !out.OK {
		t.Fatalf("got %d %s", rec.Code, rec.Body)
	}
	return out
}

func (w *world) deliveries(t testing.TB, ref string) []Delivery {
	t.Helper()
	out, err := w.Deliveries(w.ctx, DeliveriesIn{ID: ref, Limit: 500})
	if err != nil {
		t.Fatal(err)
	}
	return out.Deliveries
}

// finished waits until n turns have ended and their ends are stored, and stops the queue.
func (w *world) finished(t testing.TB, n int) {
	t.Helper()
	for range n {
		<-w.talk.ended
	}
	w.q.Stop()
}

func ptr[T any](v T) *T { return &v }

func TestTriggerAnswersAndDelivers(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), newTalker(), true)
	hook := w.create(t, CreateIn{Name: "pager", PromptTemplate: "Stop edge-2. Reason: {{payload}}"})
	if want := "https://yard.example.com/api/webhooks/trigger/" + hook.Token; hook.URL != want {
		t.Errorf("URL %q, want %q", hook.URL, want)
	}
	got := w.taken(t, hook.Token, "{ \"reason\": \"disk\\nis full\" }\n")
	if got.ChatID != hook.ChatID {
		t.Errorf("chat %s, want %s", got.ChatID, hook.ChatID)
	}
	if rec := w.trigger(http.MethodGet, hook.Token, ""); rec.Code != http.StatusAccepted {
		t.Errorf("GET: %d %s", rec.Code, rec.Body)
	}
	w.finished(t, 2)
	want := []string{`Stop edge-2. Reason: <payload>{"reason":"disk\nis full"}</payload>`, "Stop edge-2. Reason: "}
	if diff := cmp.Diff(want, w.talk.texts()); diff != "" {
		t.Error(diff)
	}
	ds := w.deliveries(t, "pager")
	if len(ds) != 2 || ds[1].ID != got.DeliveryID || ds[1].Status != statusDone || ds[1].TurnID != "turn_"+got.DeliveryID || ds[1].Payload != `{"reason":"disk\nis full"}` || ds[0].Method != "GET" || ds[0].FinishedAt == nil {
		t.Errorf("got %+v", ds)
	}
	if a := w.talk.actors[got.DeliveryID]; a.Account != "acct" || a.Surface != op.SurfaceWebhook {
		t.Errorf("said by %+v", a)
	}
	again, err := w.Get(w.ctx, GetIn{ID: hook.ID})
	if err != nil || again.Webhook.Token != "" || again.Webhook.URL != "" || again.Webhook.LastDeliveryAt == nil {
		t.Errorf("shown again: %+v, %v", again.Webhook, err)
	}
	events, err := w.events.List(t.Context(), "acct", hook.ID, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]int{}
	for _, e := range events {
		types[e.Type]++
	}
	if diff := cmp.Diff(map[string]int{"webhook.created": 1, "webhook.received": 2, "webhook.done": 2}, types); diff != "" {
		t.Error(diff)
	}
}

func TestBadTriggers(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), newTalker(), true)
	hook := w.create(t, CreateIn{Name: "a", PromptTemplate: "{{payload}}"})
	off := w.create(t, CreateIn{Name: "off", PromptTemplate: "{{payload}}", Enabled: ptr(false)})
	full := `"` + strings.Repeat("x", maxPayload-2) + `"`
	for _, tt := range []struct {
		name, method, token, body string
		headers                   []string
		want                      int
	}{
		{"the largest payload", "POST", hook.Token, full, nil, 202},
		{"one byte more", "POST", hook.Token, full + " ", nil, 413},
		{"much more", "POST", hook.Token, strings.Repeat(" ", 1<<20), nil, 413},
		{"empty", "POST", hook.Token, "", nil, 400},
		{"only space", "POST", hook.Token, " \n", nil, 400},
		{"form", "POST", hook.Token, "payload=%7B%7D", nil, 400},
		{"two values", "POST", hook.Token, "{} {}", nil, 400},
		{"cut off", "POST", hook.Token, `{"a":`, nil, 400},
		{"not UTF-8", "POST", hook.Token, "\"\xff\"", nil, 400},
		{"too deep", "POST", hook.Token, strings.Repeat("[", maxPayload), nil, 400},
		{"any JSON value", "POST", hook.Token, "null", nil, 202},
		{"unknown token", "POST", "wht_" + strings.Repeat("a", 43), "{}", nil, 404},
		{"long token", "POST", strings.Repeat("a", 5000), "{}", nil, 404},
		{"the id in place of the token", "POST", hook.ID, "{}", nil, 404},
		{"the hash in place of the token", "POST", hashToken(hook.Token), "{}", nil, 404},
		{"unknown token, large body", "POST", "nope", strings.Repeat(" ", 1<<20), nil, 404},
		{"disabled", "POST", off.Token, "{}", nil, 409},
		{"disabled, GET", "GET", off.Token, "", nil, 409},
		{"PUT", "PUT", hook.Token, "{}", nil, 405},
		{"HEAD fires nothing", "HEAD", hook.Token, "", nil, 405},
		{"long id", "POST", hook.Token, "{}", []string{"webhook-id", strings.Repeat("a", 256)}, 400},
		{"id with control characters", "POST", hook.Token, "{}", []string{"webhook-id", "a\x01"}, 400},
	} {
		if rec := w.trigger(tt.method, tt.token, tt.body, tt.headers...); rec.Code != tt.want {
			t.Errorf("%s: %d %s, want %d", tt.name, rec.Code, rec.Body, tt.want)
		} else if tt.want >= 400 && rec.Body.Len() < 20 && tt.method != "HEAD" {
			t.Errorf("%s: no sentence: %q", tt.name, rec.Body)
		}
	}
	w.finished(t, 2)
	if n := len(w.talk.texts()); n != 2 {
		t.Errorf("%d calls were said, want 2", n)
	}
}

func TestIdempotentByID(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), newTalker(), true)
	a := w.create(t, CreateIn{Name: "a", PromptTemplate: "a {{payload}}"})
	b := w.create(t, CreateIn{Name: "b", PromptTemplate: "b {{payload}}"})
	var wg sync.WaitGroup
	ids := make([]string, 8)
	for i := range ids {
		wg.Go(func() {
			var out Receipt
			_ = json.Unmarshal(w.trigger("POST", a.Token, "1", "webhook-id", "msg_1").Body.Bytes(), &out)
			ids[i] = out.DeliveryID
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("one delivery has several ids: %q", ids)
		}
	}
	if other := w.taken(t, b.Token, "1", "webhook-id", "msg_1"); other.DeliveryID == ids[0] {
		t.Error("another webhook shares the delivery")
	}
	w.taken(t, a.Token, "1", "webhook-id", "msg_2")
	w.taken(t, a.Token, "1")
	w.taken(t, a.Token, "1")
	w.finished(t, 5)
	if n := len(w.deliveries(t, "a")); n != 4 {
		t.Errorf("%d deliveries, want 4", n)
	}
}

func TestRotationAndDeletionAtOnce(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), newTalker(), false)
	hook := w.create(t, CreateIn{Name: "a", PromptTemplate: "{{payload}}"})
	out, err := w.Update(w.ctx, UpdateIn{ID: "a", RegenerateToken: true})
	if err != nil || out.Webhook.Token == "" || out.Webhook.Token == hook.Token {
		t.Fatalf("rotated: %+v, %v", out, err)
	}
	if rec := w.trigger("POST", hook.Token, "1"); rec.Code != http.StatusNotFound {
		t.Errorf("the old token: %d", rec.Code)
	}
	w.taken(t, out.Webhook.Token, "1")
	if _, err := w.Update(w.ctx, UpdateIn{ID: "a", Enabled: ptr(false)}); err != nil {
		t.Fatal(err)
	}
	if rec := w.trigger("POST", out.Webhook.Token, "1"); rec.Code != http.StatusConflict {
		t.Errorf("disabled: %d", rec.Code)
	}
	if _, err := w.Delete(w.ctx, GetIn{ID: "a"}); err != nil {
		t.Fatal(err)
	}
	if rec := w.trigger("POST", out.Webhook.Token, "1"); rec.Code != http.StatusNotFound {
		t.Errorf("deleted: %d", rec.Code)
	}
	// The token is nowhere in the database.
	var all []string
	err = w.d.View(t.Context(), func(tx *db.Tx) error {
		return tx.Select(&all, `SELECT name || template || scopes || token_hash || sealed FROM webhooks UNION ALL SELECT data FROM events`)
	})
	if err != nil || strings.Contains(strings.Join(all, "\n"), hook.Token) {
		t.Errorf("the token is stored: %v", err)
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), newTalker(), false)
	hook := w.create(t, CreateIn{Name: "a", PromptTemplate: "{{payload}}"})
	other := w.create(t, CreateIn{Name: "b", PromptTemplate: "{{payload}}"})
	for range burst {
		w.taken(t, hook.Token, "1")
	}
	w.move(refill / 4)
	rec := w.trigger("POST", hook.Token, "1")
	if rec.Code != http.StatusTooManyRequests || rec.Header().Get("Retry-After") != "1" {
		t.Errorf("call %d: %d, Retry-After %q", burst+1, rec.Code, rec.Header().Get("Retry-After"))
	}
	w.taken(t, other.Token, "1")
	w.move(refill)
	w.taken(t, hook.Token, "1")
	if rec := w.trigger("POST", hook.Token, "1"); rec.Code != http.StatusTooManyRequests {
		t.Errorf("refused calls must not count, and one a second is let in: %d", rec.Code)
	}
}

func TestBacklogIsBounded(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), newTalker(), false)
	hook := w.create(t, CreateIn{Name: "a", PromptTemplate: "{{payload}}"})
	for range maxWaiting {
		w.move(refill)
		w.taken(t, hook.Token, "1")
	}
	w.move(refill)
	if rec := w.trigger("POST", hook.Token, "1"); rec.Code != http.StatusTooManyRequests || rec.Header().Get("Retry-After") != "60" {
		t.Errorf("got %d, Retry-After %q", rec.Code, rec.Header().Get("Retry-After"))
	}
}

// Deliveries of a webhook are said one after another in their order, also when the Operator has no room for a while.
func TestOrder(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), newTalker(), false)
	hook := w.create(t, CreateIn{Name: "a", PromptTemplate: "{{payload}}"})
	w.talk.errs = []error{errs.New(errs.Conflict, "10 messages are waiting in this chat already.")}
	var want []string
	for i := range 30 {
		w.taken(t, hook.Token, fmt.Sprint(i))
		want = append(want, fmt.Sprintf("<payload>%d</payload>", i))
	}
	if err := w.q.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.finished(t, 30)
	if diff := cmp.Diff(want, w.talk.texts()); diff != "" {
		t.Error(diff)
	}
}

// The process dies after the row is stored, and again after the text is said: the next one says it once and goes on.
func TestCrash(t *testing.T) {
	t.Parallel()
	dir, talk := t.TempDir(), newTalker()
	w := open(t, dir, talk, false)
	hook := w.create(t, CreateIn{Name: "a", PromptTemplate: "old {{payload}}"})
	got := w.taken(t, hook.Token, "1")
	if _, err := w.Update(w.ctx, UpdateIn{ID: "a", PromptTemplate: ptr("new {{payload}}")}); err != nil {
		t.Fatal(err)
	}
	w.close() // between the row and the turn

	talk.hold = make(chan struct{})
	w = open(t, dir, talk, true)
	<-talk.spoken
	w.close() // while the turn runs
	if err := forgetTurn(dir, got.DeliveryID); err != nil {
		t.Fatal(err)
	}

	close(talk.hold)
	w = open(t, dir, talk, true)
	w.finished(t, 1)
	if diff := cmp.Diff([]string{"old <payload>1</payload>"}, talk.texts()); diff != "" {
		t.Error(diff)
	}
	if ds := w.deliveries(t, "a"); len(ds) != 1 || ds[0].Status != statusDone || ds[0].TurnID != "turn_"+got.DeliveryID {
		t.Errorf("got %+v", ds)
	}
	var jobs int
	if err := w.d.View(context.Background(), func(tx *db.Tx) error { return tx.Get(&jobs, `SELECT count(*) FROM jobs`) }); err != nil || jobs != 0 {
		t.Errorf("%d jobs are left, %v", jobs, err)
	}
}

// forgetTurn makes it as if the process had died between the saying and the note of it.
func forgetTurn(dir, delivery string) error {
	d, err := db.Open(context.Background(), "sqlite:"+filepath.Join(dir, "y.db"))
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Update(context.Background(), func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE webhook_deliveries SET turn_id = '' WHERE id = ?`, delivery)
		return err
	})
}
