package exchange

import (
	"encoding/binary"
	"hash/crc32"
)

// Sealed is b with the checksum of a message made right, so that a fuzzer gets
// past it.
func Sealed(b []byte) []byte {
	if len(b) < 4 {
		return b
	}
	body := b[:len(b)-4]
	return binary.LittleEndian.AppendUint32(append([]byte(nil), body...), crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}
