package wire

// Encode returns the message as bytes.
func (m Setup) Encode() []byte {
	w := NewWriter(KindSetup)
	w.text(m.Hostname)
	w.texts(m.Binds)
	w.pairs(m.Links)
	w.pairs(m.Files)
	w.text(m.Home)
	w.bool(m.HomeFD)
	w.text(m.Skills)
	w.bool(m.SkillsFD)
	w.int(m.TmpMB)
	w.bytes(m.Filter)
	w.int(m.Limits.MemoryMB)
	w.int(m.Limits.Processes)
	w.int(m.Limits.DiskMB)
	w.int(m.Limits.OpenFiles)
	return w.Bytes()
}

// DecodeSetup reads a Setup; false means that it is malformed, as for all Decode functions.
func DecodeSetup(r *Reader) (Setup, bool) {
	m := Setup{
		Hostname: r.text(), Binds: r.texts(), Links: r.pairs(), Files: r.pairs(),
		Home: r.text(), HomeFD: r.bool(), Skills: r.text(), SkillsFD: r.bool(),
		TmpMB: r.int(), Filter: r.bytes(),
		Limits: Limits{MemoryMB: r.int(), Processes: r.int(), DiskMB: r.int(), OpenFiles: r.int()},
	}
	return m, r.OK()
}

// Encode returns the message as bytes.
func (m Exec) Encode() []byte {
	w := NewWriter(KindExec)
	w.uint(m.ID)
	w.byte(m.Streams)
	w.int(m.CPUSeconds)
	w.text(m.Dir)
	w.texts(m.Argv)
	w.texts(m.Env)
	return w.Bytes()
}

// DecodeExec reads an Exec. The ID is right even when the rest is malformed, if the message reaches that far.
func DecodeExec(r *Reader) (Exec, bool) {
	m := Exec{ID: r.uint(), Streams: r.byte(), CPUSeconds: r.int(), Dir: r.text(), Argv: r.texts(), Env: r.texts()}
	return m, r.OK() && len(m.Argv) > 0
}

// Encode returns the message as bytes.
func (m Signal) Encode() []byte {
	w := NewWriter(KindSignal)
	w.uint(m.ID)
	w.int(m.Num)
	w.bool(m.Tree)
	return w.Bytes()
}

// DecodeSignal reads a Signal.
func DecodeSignal(r *Reader) (Signal, bool) {
	m := Signal{ID: r.uint(), Num: r.int(), Tree: r.bool()}
	return m, r.OK()
}

// Encode returns the message as bytes.
func (m Reach) Encode() []byte {
	w := NewWriter(KindReach)
	w.texts(m.Paths)
	w.ints(m.Ports)
	return w.Bytes()
}

// DecodeReach reads a Reach.
func DecodeReach(r *Reader) (Reach, bool) {
	m := Reach{Paths: r.texts(), Ports: r.ints()}
	return m, r.OK()
}

// Encode returns the message as bytes.
func (m Spill) Encode() []byte {
	w := NewWriter(KindSpill)
	w.int(m.Size)
	return w.Bytes()
}

// DecodeSpill reads a Spill of a size that is allowed.
func DecodeSpill(r *Reader) (Spill, bool) {
	m := Spill{Size: r.int()}
	return m, r.OK() && m.Size > 0 && m.Size <= MaxMessage
}

// Encode returns the message as bytes.
func (m Failed) Encode() []byte {
	w := NewWriter(KindFailed)
	w.text(m.Step)
	w.int(m.Errno)
	return w.Bytes()
}

// DecodeFailed reads a Failed.
func DecodeFailed(r *Reader) (Failed, bool) {
	m := Failed{Step: r.text(), Errno: r.int()}
	return m, r.OK()
}

// Encode returns the message as bytes.
func (m Started) Encode() []byte {
	w := NewWriter(KindStarted)
	w.uint(m.ID)
	w.int(m.PID)
	return w.Bytes()
}

// DecodeStarted reads a Started.
func DecodeStarted(r *Reader) (Started, bool) {
	m := Started{ID: r.uint(), PID: r.int()}
	return m, r.OK()
}

// Encode returns the message as bytes.
func (m Refused) Encode() []byte {
	w := NewWriter(KindRefused)
	w.uint(m.ID)
	w.text(m.Step)
	w.int(m.Errno)
	return w.Bytes()
}

// DecodeRefused reads a Refused.
func DecodeRefused(r *Reader) (Refused, bool) {
	m := Refused{ID: r.uint(), Step: r.text(), Errno: r.int()}
	return m, r.OK()
}

// Encode returns the message as bytes.
func (m Exited) Encode() []byte {
	w := NewWriter(KindExited)
	w.uint(m.ID)
	w.int(m.Code)
	w.int(m.Signal)
	w.int(m.CPU)
	w.int(m.MaxRSSKB)
	return w.Bytes()
}

// DecodeExited reads an Exited.
func DecodeExited(r *Reader) (Exited, bool) {
	m := Exited{ID: r.uint(), Code: r.int(), Signal: r.int(), CPU: r.int(), MaxRSSKB: r.int()}
	return m, r.OK()
}

// Encode returns the message as bytes.
func (m Reached) Encode() []byte {
	w := NewWriter(KindReached)
	w.ints(m.Errnos)
	return w.Bytes()
}

// DecodeReached reads a Reached.
func DecodeReached(r *Reader) (Reached, bool) {
	m := Reached{Errnos: r.ints()}
	return m, r.OK()
}

// Encode returns the message as bytes.
func (m Notice) Encode() []byte {
	w := NewWriter(KindNotice)
	w.text(m.Text)
	return w.Bytes()
}

// DecodeNotice reads a Notice.
func DecodeNotice(r *Reader) (Notice, bool) {
	m := Notice{Text: r.text()}
	return m, r.OK()
}

// Encode returns the message as bytes.
func (m Fork) Encode() []byte {
	w := NewWriter(KindFork)
	w.int(m.Inside)
	w.int(m.UID)
	w.int(m.GID)
	w.int(m.Width)
	w.bool(m.Root)
	return w.Bytes()
}

// DecodeFork reads a Fork.
func DecodeFork(r *Reader) (Fork, bool) {
	m := Fork{Inside: r.int(), UID: r.int(), GID: r.int(), Width: r.int(), Root: r.bool()}
	return m, r.OK()
}

// Encode returns the message as bytes.
func (m Born) Encode() []byte {
	w := NewWriter(KindBorn)
	w.int(m.PID)
	w.int(m.Errno)
	return w.Bytes()
}

// DecodeBorn reads a Born.
func DecodeBorn(r *Reader) (Born, bool) {
	m := Born{PID: r.int(), Errno: r.int()}
	return m, r.OK()
}
