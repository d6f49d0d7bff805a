package audit

import "time"

// SetClock replaces the clock of l.
func SetClock(l *Log, now func() time.Time) { l.now = now }

// Mask is what stands for a secret.
const Mask = mask

// Sizes of entries.
const (
	MaxText  = maxText
	MaxItems = maxItems
	MaxInput = maxInput
	Page     = page
)

// EntryOf is what r says so far.
func EntryOf(r *Record) Entry { return r.entry }
