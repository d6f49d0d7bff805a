package planner

import "testing"

// heldFloor is the share of the held-out conversations that must be understood. It may only rise.
const heldFloor = 0.90

// TestHeldOut measures the planner on sentences that it was not mended on. A destructive misreading fails the test whatever
// the share.
func TestHeldOut(t *testing.T) {
	t.Parallel()
	good, all := playFile(t, "testdata/held.txt", t.Logf)
	t.Logf("%d of %d held-out conversations are understood", good, all)
	if float64(good) < heldFloor*float64(all) {
		t.Errorf("only %d of %d held-out conversations are understood", good, all)
	}
}

// TestDanger plays sentences that lie beside a destructive reading.
func TestDanger(t *testing.T) {
	t.Parallel()
	playFile(t, "testdata/danger.txt", t.Errorf)
}
