// Package skill keeps skills: folders in the open Agent Skills format (agentskills.io).
//
// A skill comes in from a folder, a zip, a git repository or a map of texts, and every way leads through a Tree, which
// takes safe paths within limits only. Two questions are kept apart: Parse decides, leniently and with warnings that say
// how to mend, whether a skill can be used; Validate reports every deviation from the specification, with the verdict of
// the reference validator beside it.
//
// A version is immutable and named by the digest of its files. The Store keeps its content on the disk, the Service keeps
// in the database which skill of which account has which versions. Where skills are installed is not known here.
package skill
