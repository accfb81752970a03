package store

import (
	"crypto/sha256"
	"encoding/binary"

	"bellwether/datasets/record"
)

// Key is a key of the layout in the package comment.
type Key []byte

func textKey(letter byte, text string) Key {
	return append(append(make(Key, 0, 1+len(text)), letter), text...)
}

func position(dst []byte, pos uint64) []byte { return binary.BigEndian.AppendUint64(dst, pos) }

func metaKey(name string) Key { return textKey('m', name) }
func itemKey(pos uint64) Key  { return position([]byte{'l'}, pos) }

func snapshotKey(of Fold, pos uint64) Key { return position([]byte{byte(of)}, pos) }

// LeadKey leads to the position of a lead's newest record.
func LeadKey(id record.LeadID) Key { return textKey('v', string(id)) }

// ChainKey leads to the id of the newest decision about a lead.
func ChainKey(id record.LeadID) Key { return textKey('c', string(id)) }

// DecisionKey leads to a decision's position.
func DecisionKey(id record.DecisionID) Key { return textKey('d', string(id)) }

// OfferKey leads to a decision's offer, encoded.
func OfferKey(id record.DecisionID) Key { return textKey('o', string(id)) }

// EventKey leads to an event's position.
func EventKey(id record.EventID) Key { return textKey('e', string(id)) }

// OutcomeKey leads to the id of the outcome in force for what a partner did with
// a lead, a deal, or a deal that came of a lead.
func OutcomeKey(p record.PartnerID, lead record.LeadID, deal record.DealID) Key {
	return textKey('r', string(p)+"\x00"+string(lead)+"\x00"+string(deal))
}

// RepeatKey leads to what an idempotency key of a caller stands for.
func RepeatKey(scope, key string) Key {
	sum := sha256.Sum256([]byte(scope + "\x00" + key))
	return append(Key{'i'}, sum[:]...)
}

// Position returns a position as index entries hold it.
func Position(pos uint64) []byte { return position(nil, pos) }

// PositionOf reads an index entry that holds a position; false if there is none.
func PositionOf(b []byte) (uint64, bool) {
	if len(b) != 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(b), true
}
