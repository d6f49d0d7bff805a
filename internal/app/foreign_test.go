package app_test

import (
	"maps"
	"slices"
	"testing"

	"yardmaster/internal/app/apptest"
)

// unseen are the references whose absence is no error, so that what is foreign is treated as what is not there.
var unseen = map[string]string{
	"chats.stop id":       "a chat in which nothing runs and one that is not there are the same to it",
	"skills.uninstall id": "a skill that was deleted can be uninstalled where it is left, and one that is not there has been",
}

// TestForeignIDs calls each operation as a second account with a good input of its own, in which one reference after the
// other names a thing of the first account: it must be as if that were not there.
func TestForeignIDs(t *testing.T) {
	t.Parallel()
	y := apptest.Start(t, apptest.Instances(), apptest.Model(apptest.Caller{}))
	mine, theirs := newWorld(t, y.Client), newWorld(t, y.Other)
	mine.box()
	theirs.box()
	for _, p := range y.App.Registry.All() {
		s, ok := scenarios[p.Name]
		if !ok {
			continue // another test says so
		}
		var refs []string
		for _, name := range p.In.Order {
			f := p.In.Properties[name]
			if f.Ref != "" || f.Items != nil && f.Items.Ref != "" || slices.Contains(p.Wildcards(), name) {
				refs = append(refs, name)
			}
		}
		if len(refs) == 0 {
			continue
		}
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			mine, theirs := mine.in(t), theirs.in(t)
			theirsIn, mineIn := s.input(theirs), s.input(mine)
			tried := 0
			for _, field := range refs {
				if _, given := mineIn[field]; !given {
					continue
				}
				in := maps.Clone(theirsIn)
				in[field] = mineIn[field]
				if p.Name == "instances.create" && field == "skills" {
					continue // named by the name of a bundled skill, which both have
				}
				tried++
				a := theirs.Call(request(p, in))
				if why, same := unseen[p.Name+" "+field]; same {
					if a.Status != 200 {
						t.Errorf("%s with a foreign %s: %s, although %s", p.Name, field, a, why)
					}
					continue
				}
				if a.Status != 404 || a.Code() != "not_found" {
					t.Errorf("%s with a foreign %s: %s", p.Name, field, a)
				}
			}
			if tried == 0 && p.Name != "instances.create" {
				t.Errorf("the scenario of %s names none of %v", p.Name, refs)
			}
			// All that failed changed nothing: the same call by its owner is still good.
			if a := mine.Call(request(p, mineIn)); a.Status != p.Status {
				t.Errorf("%s by its owner, afterwards: %s", p.Name, a)
			}
		})
	}
}

// A running turn is its account's own as well: another account can neither follow nor stop nor read it, and a chat of the
// same id there is another chat.
func TestForeignTurn(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	y := apptest.Start(t, apptest.Model(gated(gate)))
	s := y.Say("shared-id", "the secret plan")
	s.Until("text-delta")
	for _, path := range []string{"/api/chat/shared-id", "/api/turns/" + s.TurnID} {
		if a := y.Other.Call("GET", path, nil); a.Status != 404 {
			t.Errorf("GET %s: %s", path, a)
		}
	}
	if a := y.Other.Call("GET", "/api/chat/shared-id/stream", nil); a.Status != 204 {
		t.Errorf("the stream: %s", a)
	}
	y.Other.Call("POST", "/api/chat/shared-id/stop", nil)
	if a := y.Call("GET", "/api/turns/"+s.TurnID, nil); a.Text("turn.status") != "running" {
		t.Errorf("another account stopped the turn: %s", a)
	}
	close(gate)
	if _, whole := s.Rest(); !whole {
		t.Error("the stream broke off")
	}
	if turn := y.Other.Chat("shared-id", "what was the plan?"); turn.Status != 200 || turn.ChatID != "shared-id" {
		t.Errorf("a chat of that id in the other account: %s", turn)
	}
	for c, first := range map[*apptest.Client]string{y.Client: "the secret plan", y.Other: "what was the plan?"} {
		if a := c.Must("GET", "/api/chat/shared-id", nil); a.Len("messages") != 2 || a.Text("messages.0.parts.0.text") != first {
			t.Errorf("the chat of %q: %s", first, a)
		}
	}
}
