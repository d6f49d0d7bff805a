package skill

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"yardmaster/internal/errs"
)

const okDocument = "---\nname: x\ndescription: d\n---\nbody\n"

type zipEntry struct {
	name string
	data string
	mode fs.FileMode // 0 is what systems without modes write
	flag uint16
}

func makeZip(t testing.TB, entries ...zipEntry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		if e.mode != 0 {
			h.SetMode(e.mode)
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(e.name, "/") {
			if _, err := io.WriteString(f, e.data); err != nil {
				t.Fatal(err)
			}
		}
		h.Flags |= e.flag
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// lyingZip has one deflated entry whose headers say another size than its data has.
func lyingZip(t testing.TB, size int, says uint64) []byte {
	t.Helper()
	data := bytes.Repeat([]byte{'a'}, size)
	var packed bytes.Buffer
	d, err := flate.NewWriter(&packed, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.CreateRaw(&zip.FileHeader{Name: "SKILL.md", Method: zip.Deflate, CRC32: crc32.ChecksumIEEE(data),
		CompressedSize64: uint64(packed.Len()), UncompressedSize64: says})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(packed.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFromZip(t *testing.T) {
	t.Parallel()
	want := map[string]bool{"SKILL.md": false, "scripts/run.sh": true, "notes.txt": false}
	for name, entries := range map[string][]zipEntry{
		"at the root": {{name: "SKILL.md", data: okDocument, mode: 0o644}, {name: "scripts/run.sh", data: "#!/bin/sh\n", mode: 0o755},
			{name: "notes.txt", data: "n", mode: 0o600}},
		"in a top folder, with junk": {{name: "x/", mode: fs.ModeDir | 0o755}, {name: "x/SKILL.md", data: okDocument, mode: 0o644}, {name: "x/scripts/", mode: fs.ModeDir | 0o755},
			{name: "x/scripts/run.sh", data: "#!/bin/sh\n", mode: 0o755}, {name: "x/notes.txt", data: "n", mode: 0o644},
			{name: "__MACOSX/x/._SKILL.md", data: "?"}, {name: "x/.DS_Store", data: "?"}},
		"without modes": {{name: "SKILL.md", data: okDocument}, {name: "scripts/run.sh", data: "#!/bin/sh\n"}, {name: "notes.txt", data: "n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tree, folder, err := FromZip(makeZip(t, entries...))
			if err != nil {
				t.Fatal(err)
			}
			if top := strings.HasPrefix(entries[0].name, "x/"); top != (folder == "x") {
				t.Errorf("folder %q", folder)
			}
			got := map[string]bool{}
			files, digest := tree.Manifest()
			for _, f := range files {
				got[f.Path] = f.Executable
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			// The identity is the same however the skill was packed.
			if want := "sha256:9f1276"; !strings.HasPrefix(digest, want) {
				t.Errorf("digest %s, want %s…", digest, want)
			}
		})
	}
}

func TestFromZipRefuses(t *testing.T) {
	t.Parallel()
	ok := zipEntry{name: "SKILL.md", data: okDocument, mode: 0o644}
	many := []zipEntry{ok}
	for i := range MaxFiles {
		many = append(many, zipEntry{name: fmt.Sprintf("f%d", i)})
	}
	folders := []zipEntry{ok}
	for i := range 8*MaxFiles + 1 {
		folders = append(folders, zipEntry{name: fmt.Sprintf("d%d/", i), mode: fs.ModeDir | 0o755})
	}
	half := strings.Repeat("a", MaxBytes/2)
	with := func(e ...zipEntry) []byte { return makeZip(t, append([]zipEntry{ok}, e...)...) }
	corrupt := with(zipEntry{name: "a", data: strings.Repeat("text ", 100), mode: 0o644})
	corrupt[bytes.Index(corrupt, []byte(documentName))+len(documentName)+6] ^= 0xff // within the packed data
	for name, tc := range map[string]struct {
		data []byte
		says string
		code errs.Code
	}{
		"no zip":                 {[]byte("hello"), "damaged or no zip", errs.Invalid},
		"empty":                  {makeZip(t), "no SKILL.md", errs.Invalid},
		"no document":            {makeZip(t, zipEntry{name: "a/b", data: "x"}), "no SKILL.md", errs.Invalid},
		"two top folders":        {makeZip(t, zipEntry{name: "a/SKILL.md", data: okDocument}, zipEntry{name: "b/SKILL.md", data: okDocument}), "single top folder", errs.Invalid},
		"parent":                 {with(zipEntry{name: "../evil"}), "must stay", errs.Invalid},
		"parent inside":          {with(zipEntry{name: "a/../../evil"}), "must stay", errs.Invalid},
		"absolute":               {with(zipEntry{name: "/etc/passwd"}), "absolute", errs.Invalid},
		"drive":                  {with(zipEntry{name: "C:/evil"}), "drive", errs.Invalid},
		"backslash":              {with(zipEntry{name: `a\..\evil`}), "backslash", errs.Invalid},
		"control character":      {with(zipEntry{name: "a\nb"}), "control character", errs.Invalid},
		"NUL":                    {with(zipEntry{name: "a\x00b"}), "control character", errs.Invalid},
		"not UTF-8":              {with(zipEntry{name: "a\xff"}), "UTF-8", errs.Invalid},
		"empty name":             {with(zipEntry{name: "a//b"}), "must stay", errs.Invalid},
		"long name":              {with(zipEntry{name: strings.Repeat("n", 256)}), "at most 255", errs.Invalid},
		"deep":                   {with(zipEntry{name: strings.Repeat("d/", 20) + "f"}), "folders deep", errs.Invalid},
		"link":                   {with(zipEntry{name: "l", data: "/etc/passwd", mode: fs.ModeSymlink | 0o777}), "is a link", errs.Invalid},
		"device":                 {with(zipEntry{name: "d", mode: fs.ModeDevice | 0o666}), "neither", errs.Invalid},
		"pipe":                   {with(zipEntry{name: "p", mode: fs.ModeNamedPipe | 0o666}), "neither", errs.Invalid},
		"duplicate":              {with(ok), "twice", errs.Invalid},
		"duplicate but for case": {with(zipEntry{name: "skill.MD"}), "same file", errs.Invalid},
		"folders but for case":   {with(zipEntry{name: "a/x"}, zipEntry{name: "A/y"}), "same thing", errs.Invalid},
		"file and folder":        {with(zipEntry{name: "a"}, zipEntry{name: "a/y"}), "same thing", errs.Invalid},
		"folder and file":        {with(zipEntry{name: "a/y"}, zipEntry{name: "a"}), "same file", errs.Invalid},
		"two unicode forms":      {with(zipEntry{name: "\u00e9"}, zipEntry{name: "e\u0301"}), "same file", errs.Invalid},
		"encrypted":              {with(zipEntry{name: "secret", data: "x", flag: 1}), "encrypted", errs.Invalid},
		"too many files":         {makeZip(t, many...), "more than 1000 files", errs.TooLarge},
		"too many entries":       {makeZip(t, folders...), "entries", errs.TooLarge},
		"bomb":                   {with(zipEntry{name: "b", data: strings.Repeat("a", MaxBytes+1)}), "larger than 50 MiB", errs.TooLarge},
		"bomb in parts":          {with(zipEntry{name: "b", data: half}, zipEntry{name: "c", data: half}), "larger than 50 MiB", errs.TooLarge},
		"bomb with a small size": {lyingZip(t, MaxBytes*3, 10), "SKILL.md", errs.Invalid},
		"bomb with a huge size":  {lyingZip(t, 10, 1<<40), "larger than 50 MiB", errs.TooLarge},
		"fewer bytes than said":  {lyingZip(t, 10, 20), "SKILL.md", errs.Invalid},
		"corrupt":                {corrupt, "damaged", errs.Invalid},
		"truncated":              {with()[:60], "damaged", errs.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := FromZip(tc.data)
			if !errs.Is(err, tc.code) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v (%s), want %s that says %q", err, errs.CodeOf(err), tc.code, tc.says)
			}
		})
	}
}

func FuzzZip(f *testing.F) {
	f.Add(makeZip(f, zipEntry{name: "SKILL.md", data: okDocument, mode: 0o644}))
	f.Add(makeZip(f, zipEntry{name: "x/SKILL.md", data: okDocument}, zipEntry{name: "x/a/b", data: "#!"}, zipEntry{name: "../e", data: "x"}))
	f.Add(lyingZip(f, 1000, 10))
	f.Fuzz(func(t *testing.T, data []byte) {
		tree, _, err := FromZip(data)
		if err != nil {
			if c := errs.CodeOf(err); c != errs.Invalid && c != errs.TooLarge {
				t.Fatalf("code %s: %v", c, err)
			}
			return
		}
		if _, spelled := tree.Document(); spelled == "" {
			t.Fatal("a tree without SKILL.md")
		}
		for _, p := range tree.Paths() {
			if !fs.ValidPath(p) || checkPath(p) != "" {
				t.Fatalf("unsafe path %q", p)
			}
		}
	})
}

// The signature of a central directory header is what the entries are counted by.
func TestZipSignature(t *testing.T) {
	t.Parallel()
	data := makeZip(t, zipEntry{name: "a"}, zipEntry{name: "b"})
	if n := bytes.Count(data, binary.LittleEndian.AppendUint32(nil, 0x02014b50)); n != 2 {
		t.Errorf("%d headers", n)
	}
}
