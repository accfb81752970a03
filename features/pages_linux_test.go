//go:build linux && !race

package features

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"unsafe"
)

// TestHugePages looks whether memory taken after the call lies where the kernel
// was asked for huge pages: in a process of its own, whose heap has no holes yet.
func TestHugePages(t *testing.T) {
	if os.Getenv("BELLWETHER_TEST_PAGES") == "" {
		c := exec.Command(os.Args[0], "-test.run=^TestHugePages$", "-test.v")
		c.Env = append(os.Environ(), "BELLWETHER_TEST_PAGES=1")
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if bytes.Contains(out, []byte("SKIP")) {
			t.Skipf("%s", out)
		}
		return
	}
	if how, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled"); err != nil {
		t.Skip("a kernel without huge pages: ", strings.TrimSpace(string(how)), err)
	}
	if how, _ := os.ReadFile("/proc/sys/vm/overcommit_memory"); strings.HasPrefix(string(how), "2") {
		t.Skip("a kernel that promises no more memory than it has: nothing is asked")
	}
	HugePages()
	block := make([]byte, 16<<20)
	flags := flagsAt(t, uintptr(unsafe.Pointer(&block[0])))
	runtime.KeepAlive(block)
	if !strings.Contains(flags, " hg") {
		t.Errorf("a block of 16 MB lies in memory with flags %q, without hg", flags)
	}
}

// flagsAt are the flags of the mapping that holds an address (proc(5), smaps).
func flagsAt(t *testing.T, at uintptr) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip("no smaps: ", err)
	}
	inside := false
	for line := range strings.Lines(string(text)) {
		var from, to uintptr
		if n, _ := fmt.Sscanf(line, "%x-%x ", &from, &to); n == 2 {
			inside = from <= at && at < to
		} else if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok && inside {
			return flags
		}
	}
	t.Fatalf("no mapping holds %#x", at)
	return ""
}
