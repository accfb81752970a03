package serving

import (
	"context"
	"log/slog"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/routing"
	"bellwether/serving/store"
)

// follower folds the log: the book, and the ward beside it. What it is given is
// its own to keep.
type follower interface {
	partner(store.Item, *record.Partner)
	lead(*record.Lead)
	event(store.Item, *record.Event)
}

// decode hands an item's record to a follower. A decision says nothing that the
// offer_made event after it does not, and is passed over: it is by far the
// largest record.
func decode(item store.Item, to follower) error {
	switch item.Kind {
	case store.Partner:
		p := new(record.Partner)
		if err := record.DecodePartner(item.Body, p); err != nil {
			return err
		}
		to.partner(item, p)
	case store.Lead:
		l := new(record.Lead)
		if err := record.DecodeLead(item.Body, l); err != nil {
			return err
		}
		to.lead(l)
	case store.Event, store.Past:
		e := new(record.Event)
		if err := record.DecodeEvent(item.Body, e); err != nil {
			return err
		}
		to.event(item, e)
	case store.Decision:
	default:
		return record.Errorf(record.Incompatible, "fold", "the log item at %d is of kind %d: written by a newer program", item.Position, item.Kind)
	}
	return nil
}

// folder makes books from the log on disk.
type folder struct {
	store  *store.Store
	logger *slog.Logger
}

// bookAt folds the log up to, not including, a position: from the newest
// snapshot that fits, and was taken no later than notAfter if that is set.
func (f folder) bookAt(ctx context.Context, set *features.Set, policy routing.Policy, to uint64, notAfter time.Time) (*book, error) {
	b, err := f.fromSnapshot(set, policy, to, notAfter)
	if err != nil {
		return nil, err
	}
	return b, f.catchUp(ctx, b, to)
}

func (f folder) fromSnapshot(set *features.Set, policy routing.Policy, to uint64, notAfter time.Time) (*book, error) {
	for limit := to; ; {
		b, err := newBook(set, policy)
		if err != nil {
			return nil, err
		}
		snap, err := f.store.LoadSnapshot(store.Live, fingerprint(set, &policy), limit)
		if err != nil || snap == nil {
			return b, err
		}
		err = b.restore(snap)
		if err == nil && (notAfter.IsZero() || !b.last.After(notAfter)) {
			return b, nil
		}
		if err != nil {
			f.logger.Warn("a snapshot cannot be used; going back further", "position", snap.Position, "error", err)
		}
		if snap.Position == 0 {
			return newBook(set, policy)
		}
		limit = snap.Position - 1
	}
}

// catchUp folds what is on disk from the book's position up to another.
func (f folder) catchUp(ctx context.Context, b *book, to uint64) error {
	const (
		checkEvery  = 1 << 12
		reportAfter = 5 * time.Second
	)
	from, began, reported := b.next, time.Now(), time.Now()
	err := f.store.Scan(b.next, to, func(item store.Item) error {
		if item.Position%checkEvery == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if now := time.Now(); now.Sub(reported) > reportAfter {
				reported = now
				f.logger.Info("rebuilding the book from the log", "done", item.Position-from, "of", to-from)
			}
		}
		return b.fold(item)
	})
	if err != nil {
		return record.Errorf(record.KindOf(err), "rebuild the book", "%w", err)
	}
	if took := time.Since(began); took > reportAfter {
		f.logger.Info("rebuilt the book", "items", to-from, "took", took.Round(time.Millisecond))
	}
	return nil
}
