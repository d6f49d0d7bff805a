package catalog

import "yardmaster/internal/op"

func filesOperations(s Services) []*op.Operation {
	return []*op.Operation{
		op.New(op.Op{
			Name: "files.list", Route: "GET /api/instances/{id}/files", Scope: "files:read", Effect: op.Read,
			Doc: "List the files in a folder of an instance.",
			Verbs: words("list, show, ls, see, view, get, what is in, which, browse, look at, look in, is there, are there, find, tell me, does * have, does " +
				"* exist, exists, search for, look for, locate, what"),
			Nouns: words("file, folder, directory, dir, files, path, content"),
			Examples: []string{
				"list the files on web-1",
				"which files are in the reports folder of finance?",
				"is there a config.yaml on web-1?",
			},
		}, s.Fleet.ListFiles),
		op.New(op.Op{
			Name: "files.read", Route: "GET /api/instances/{id}/files/content", Scope: "files:read", Effect: op.Read,
			Doc: "Read a file of an instance.",
			Verbs: words("read, cat, show, open, print, display, get, view, see, what is in, what does * say, what does * contain, head, tail, give me, " +
				"dump, look at, tell me, what is inside, fetch, check"),
			Nouns: words("file, content, contents, line, text"),
			Examples: []string{
				"cat notes/todo.txt on web-1",
				"what's in README.txt on web-1?",
				"the last 2 lines of build.log on ci-1",
			},
		}, s.Fleet.ReadFileOp),
		op.New(op.Op{
			Name: "files.write", Route: "PUT /api/instances/{id}/files/content", Scope: "files:write", Effect: op.Write,
			Doc:   "Write a file of an instance; an existing one is replaced.",
			Verbs: words("write, create, put, save, make, add, store, place, copy, overwrite, leave, drop, update, upload, move, transfer, send, append"),
			Nouns: words("file, text, content, note, word, line"),
			Examples: []string{
				"write a file hello.txt on web-1 containing: good morning",
				"put the text hi into motd.txt on web-1",
				"copy seeds.csv from alpha to beta",
			},
		}, s.Fleet.WriteFileOp),
		op.New(op.Op{
			Name: "files.delete", Route: "DELETE /api/instances/{id}/files/content", Scope: "files:write", Effect: op.Destroy,
			Doc:   "Delete a file of an instance.",
			Verbs: words("delete, remove, rm, erase, get rid of, unlink, wipe, trash, drop, clean up, throw away"),
			Nouns: words("file, folder, directory"),
			Examples: []string{
				"delete tmp/old.log from web-1",
			},
		}, s.Fleet.DeleteFile),
	}
}
