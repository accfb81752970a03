package serving

import (
	"context"
	"slices"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/serving/store"

	"github.com/cespare/xxhash/v2"
)

// Loaded counts what Load wrote.
type Loaded struct {
	Partners, Leads, Events int64
	Repeats                 int64 // events that came twice and were left out
}

// Load fills an empty store with records that bring their own times: the past,
// before the engine's own log begins. Partners and leads take their places among
// the events by when they became known, so src's events must come in that order.
// Offers among them are history: nobody can answer them here, and none expires.
// If it fails, or the process dies, the store is empty.
func Load(ctx context.Context, st *store.Store, src features.Source, progress func(Loaded)) (Loaded, error) {
	l := loading{seen: map[uint64]struct{}{}, progress: progress}
	if err := l.collect(ctx, src); err != nil {
		return Loaded{}, err
	}
	err := st.Load(func(to *store.Loader) error {
		l.to = to
		err := src.Events(ctx, func(batch []record.Event) error {
			for i := range batch {
				if err := l.event(&batch[i]); err != nil {
					return err
				}
			}
			l.progress(l.done)
			return ctx.Err()
		})
		if err != nil {
			return err
		}
		return l.upTo(farFuture)
	})
	return l.done, err
}

var farFuture = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// loading merges partners, leads and events by time.
type loading struct {
	to       *store.Loader
	partners []record.Partner // by KnownAt, those still to come
	leads    []record.Lead    // by CreatedAt, those still to come
	last     time.Time        // of the items written so far
	seen     map[uint64]struct{}
	done     Loaded
	progress func(Loaded)
}

func (l *loading) collect(ctx context.Context, src features.Source) error {
	err := src.Partners(ctx, func(p *record.Partner) error {
		l.partners = append(l.partners, *p)
		return nil
	})
	if err == nil {
		err = src.Leads(ctx, func(lead *record.Lead) error {
			l.leads = append(l.leads, *lead)
			return nil
		})
	}
	slices.SortStableFunc(l.partners, func(a, b record.Partner) int { return a.KnownAt.Compare(b.KnownAt) })
	slices.SortStableFunc(l.leads, func(a, b record.Lead) int { return a.CreatedAt.Compare(b.CreatedAt) })
	if l.progress == nil {
		l.progress = func(Loaded) {}
	}
	return err
}

// upTo writes the partners and leads known at t.
func (l *loading) upTo(t time.Time) error {
	for ; len(l.partners) > 0 && !l.partners[0].KnownAt.After(t); l.partners = l.partners[1:] {
		p := &l.partners[0]
		if err := l.append(store.Partner, p.KnownAt, nil, func(dst []byte) []byte { return record.AppendPartner(dst, p) }); err != nil {
			return err
		}
		l.done.Partners++
	}
	for ; len(l.leads) > 0 && !l.leads[0].CreatedAt.After(t); l.leads = l.leads[1:] {
		lead := &l.leads[0]
		if err := l.append(store.Lead, lead.CreatedAt, store.LeadKey(lead.ID), func(dst []byte) []byte { return record.AppendLead(dst, lead) }); err != nil {
			return err
		}
		l.done.Leads++
	}
	return nil
}

func (l *loading) event(ev *record.Event) error {
	key := xxhash.Sum64String(string(ev.ID))
	if _, twice := l.seen[key]; twice {
		l.done.Repeats++
		return nil
	}
	l.seen[key] = struct{}{}
	if err := l.upTo(ev.Known()); err != nil {
		return err
	}
	if err := l.append(store.Past, ev.Known(), store.EventKey(ev.ID), func(dst []byte) []byte { return record.AppendEvent(dst, ev) }); err != nil {
		return err
	}
	l.done.Events++
	if isOutcome(ev) && (ev.Lead != "" || ev.Deal != "") {
		return l.to.Put(store.OutcomeKey(ev.Partner, ev.Lead, ev.Deal), []byte(ev.ID))
	}
	return nil
}

// append writes an item, no earlier than the one before.
func (l *loading) append(kind store.Kind, at time.Time, k store.Key, encode func(dst []byte) []byte) error {
	if at.After(l.last) {
		l.last = at
	}
	_, err := l.to.Append(kind, l.last, k, encode)
	return err
}
