//go:build linux

// Package inside is the init of a sandbox: the first process of its namespaces and the parent of every command.
//
// The driver starts it with new namespaces, capabilities over them, an empty environment, and one packet socket as
// descriptor 3. Init builds the file system, gives up every right, and answers ready; from then on it starts commands,
// passes signals, collects the dead and watches the limits that the kernel does not hold. Nothing ever enters a running
// sandbox from outside: all that runs in it is born of init. Init is never restarted; its end is the end of all.
//
// Memory counts here, since one init runs per instance, and so the package does without fmt, os and reflection.
package inside
