// Package secret keeps secrets: values under names of environment variables, sealed at rest, and which instances may use
// them.
//
// A value is encrypted with a key of its own, made for each version, and that key is wrapped by the master key, which is
// in a file or the environment and never in the database. Both are bound to the account, name and version, so that a row
// can't be put in the place of another. A value leaves this package in two ways only: Env gives it to a command of an
// instance that may use it, and a Matcher uses it to take it out of texts.
package secret
