// Package fleet keeps instances: isolated computers with files, skills, config and logs.
//
// # States
//
// The status of an instance is what is wanted of it. An operation writes it, together with the event that tells of it, in
// one transaction, and then one goroutine per instance makes the world so: it reads the row, does what is missing, and
// reads again until nothing changed meanwhile. All of a server's work on an instance is therefore one after the other,
// a newer wish interrupts the work for an older one, and after a crash the same steps are simply taken again.
//
//	status        meaning                                  ways out
//	provisioning  its files are made or it is starting     active, error; stop → inactive; suspend; delete
//	active        it runs, or starts when it is needed     stop → inactive; restart → provisioning; dying five times
//	                                                       in a row → error; suspend; delete
//	inactive      stopped; files, config and skills stay   start or restart → provisioning; suspend; delete
//	suspended     stopped by the platform, with a reason   start or restart → provisioning; stop → inactive; delete
//	error         it could not start; lastError says why   start or restart → provisioning; stop → inactive; delete
//	deleting      everything of it is being removed        it is gone
//
// # What a clone gets
//
//	home files     copy (links as they are; pipes, sockets and devices dropped; holes stay holes)
//	config         copy, as its own revision 1
//	labels, kind   copy
//	skills         share: the same versions, placed anew
//	name, id       fresh
//	logs, events   fresh
//	restarts       fresh
//	secret grants  drop: who may use a secret is decided for each instance
//	experiment     drop: a clone is not a variant
//	checkpoint     drop: the files are those of the source
//	processes      drop
//
// # On disk
//
// An instance has one folder, DIR/ID, with home (read-write inside), skills (read-only inside) and logs (not inside).
package fleet
