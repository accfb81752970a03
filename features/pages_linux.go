//go:build linux && !race

package features

import (
	"bytes"
	"math"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
)

// HugePages asks the kernel, once, to give the heap pages of 2 MB from now on, for the
// first 4 GB or a quarter of the machine's memory, whichever is less. A state is
// read all over, and with pages of 4 kB nearly every read waits for the table of
// pages as well. Memory is taken only as it is used, and answers are the same.
// It is for those who keep a state: for training, which reads straight on, it
// only makes the first touch of memory dearer.
// Where the kernel might refuse so much address space nothing is asked.
func HugePages() { askForHugePages() }

var askForHugePages = sync.OnceFunc(func() {
	var machine syscall.Sysinfo_t
	var space syscall.Rlimit
	if syscall.Sysinfo(&machine) != nil || syscall.Getrlimit(syscall.RLIMIT_AS, &space) != nil || space.Cur < math.MaxInt64 {
		return
	}
	if how, err := os.ReadFile("/proc/sys/vm/overcommit_memory"); err != nil || bytes.HasPrefix(how, []byte("2")) {
		return
	}
	// The runtime maps a stretch of addresses, uses it again for what comes later,
	// and never takes the advice back: so a block that nobody writes to stands for
	// them all.
	stretch := make([]byte, min(4<<30, uint64(machine.Totalram)*uint64(machine.Unit)/4))
	_ = syscall.Madvise(stretch, syscall.MADV_HUGEPAGE) // without them all is as before
	debug.FreeOSMemory()
})
