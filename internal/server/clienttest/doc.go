// Package clienttest has no code of its own. Its test drives a whole server with the chat client of the npm package ai, in
// both majors that front ends use: what that client shows and what the server keeps must be the same.
package clienttest
