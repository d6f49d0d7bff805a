package fleet

import (
	"strings"
	"testing"
	"unicode/utf8"

	"yardmaster/internal/errs"
	"yardmaster/internal/op"
)

func FuzzName(f *testing.F) {
	for _, s := range []string{"web-1", "a b", "inst_x", "🚀", "A.b_c", "-", strings.Repeat("ö", 70)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		err := checkName("name", name)
		if err == nil {
			if h := hostname(name); h == "" || len(h) > 63 || strings.ToLower(h) != h || strings.Trim(h, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
				t.Errorf("%q has the host name %q", name, h)
			}
			return
		}
		if !errs.Is(err, errs.Invalid) || !utf8.ValidString(err.Error()) {
			t.Errorf("%q: %v", name, err)
		}
		if s := suggestion(name); s != "" && len(name) <= maxName && !strings.HasPrefix(strings.ToLower(s), "inst_") && checkName("name", s) != nil {
			t.Errorf("%q is refused, and so is the suggestion %q: %v", name, s, checkName("name", s))
		}
	})
}

func FuzzSelector(f *testing.F) {
	for _, s := range []string{"env=prod", "a!=b,c", "!x", "env in (a,b),y notin (z)", "((", "a in ()"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sel, err := parseSelector("label", text)
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Error(err)
			}
			return
		}
		if len(sel) == 0 {
			t.Errorf("%q selects everything", text)
		}
		sel.matches(map[string]string{"env": "prod"})
	})
}

func FuzzHost(f *testing.F) {
	for _, s := range []string{"api.example.com", "*.example.com", "1.2.3.4", "[::1]", "x:1", "https://x.y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		host, problem := checkHost(text)
		if problem != "" {
			return
		}
		if again, problem := checkHost(host); problem != "" || again != host {
			t.Errorf("%q is %q, and that is %q: %s", text, host, again, problem)
		}
	})
}

// Every operation can be declared: its input is described, its schema holds.
func TestDeclarations(t *testing.T) {
	t.Parallel()
	var s *Service
	decl := func(name, route string) op.Op {
		o := op.Op{Name: name, Route: route, Doc: "x", Scope: "instances:write", Effect: op.Write}
		switch {
		case strings.HasPrefix(route, "GET"):
			o.Scope, o.Effect = "instances:read", op.Read
		case strings.HasPrefix(route, "DELETE"):
			o.Effect = op.Destroy
		}
		return o
	}
	if err := op.NewRegistry().Add(
		op.New(decl("instances.list", "GET /api/instances"), s.List),
		op.New(decl("instances.create", "POST /api/instances"), s.Create),
		op.New(decl("instances.get", "GET /api/instances/{id}"), s.Get),
		op.New(decl("instances.update", "PUT /api/instances/{id}"), s.Update),
		op.New(decl("instances.delete", "DELETE /api/instances/{id}"), s.Delete),
		op.New(decl("instances.restart", "POST /api/instances/{id}/restart"), s.Restart),
		op.New(decl("instances.start", "POST /api/instances/{id}/start"), s.Start),
		op.New(decl("instances.stop", "POST /api/instances/{id}/stop"), s.Stop),
		op.New(decl("instances.clone", "POST /api/instances/{id}/clone"), s.Clone),
		op.New(decl("instances.exec", "POST /api/instances/{id}/exec"), s.Exec),
		op.New(decl("instances.logs", "GET /api/instances/{id}/logs"), s.Logs),
		op.New(decl("files.list", "GET /api/instances/{id}/files"), s.ListFiles),
		op.New(decl("files.read", "GET /api/instances/{id}/files/content"), s.ReadFileOp),
		op.New(decl("files.write", "PUT /api/instances/{id}/files/content"), s.WriteFileOp),
		op.New(decl("files.delete", "DELETE /api/instances/{id}/files/content"), s.DeleteFile),
		op.New(decl("config.get", "GET /api/instances/{id}/config"), s.GetConfig),
		op.New(decl("config.update", "PUT /api/instances/{id}/config"), s.UpdateConfig),
		op.New(decl("skills.install", "POST /api/skills/{id}/install"), s.Install),
		op.New(decl("skills.uninstall", "POST /api/skills/{id}/uninstall"), s.Uninstall),
		op.New(decl("skills.test", "POST /api/skills/{id}/test"), s.TestSkill),
	); err != nil {
		t.Error(err)
	}
}

// Each status leads somewhere, and a documented one is a known one.
func TestEveryStatusHasAWayOut(t *testing.T) {
	t.Parallel()
	for status, next := range exits {
		if status != Deleting && (!allowed(status, Deleting) || len(next) < 2) {
			t.Errorf("%s leads only to %v", status, next)
		}
		for _, n := range next {
			if _, ok := exits[n]; !ok {
				t.Errorf("%s leads to %q, which is no status", status, n)
			}
		}
	}
	if len(exits) != 6 {
		t.Errorf("%d statuses", len(exits))
	}
}
