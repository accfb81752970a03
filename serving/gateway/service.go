package gateway

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"

	"bellwether/datasets/record"
	"bellwether/serving"
	pb "bellwether/serving/gen/bellwether/v1"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// service answers both edges. Each method converts, calls the engine and
// converts back; what all have in common is in call.
type service struct {
	pb.UnimplementedBellwetherServer
	engine *serving.Engine
	guard  *guard
}

func (s *service) Route(ctx context.Context, req *pb.RouteRequest) (*pb.Decision, error) {
	return call(ctx, s.guard, "Route", ScopeRoute, func(ctx context.Context) (*pb.Decision, error) {
		lead, err := s.lead(req.Lead)
		if err != nil {
			return nil, err
		}
		r, err := s.engine.Route(ctx, lead, serving.RouteOptions{IdempotencyKey: header(ctx, idempotencyHeader), Scope: callerOf(ctx).ID,
			Undated: req.Lead.CreatedAt == nil, Explore: req.Explore})
		if err != nil {
			return nil, underLead(err)
		}
		return decisionOut(r, false), nil
	})
}

func (s *service) Preview(ctx context.Context, req *pb.PreviewRequest) (*pb.Decision, error) {
	return call(ctx, s.guard, "Preview", ScopeRoute, func(ctx context.Context) (*pb.Decision, error) {
		lead, err := s.lead(req.Lead)
		if err != nil {
			return nil, err
		}
		r, err := s.engine.Preview(ctx, lead, serving.RouteOptions{})
		if err != nil {
			return nil, underLead(err)
		}
		return decisionOut(r, false), nil
	})
}

// underLead says where in a request a field of the lead is; the key is a header.
func underLead(err error) error {
	if e, ok := err.(*record.Error); ok && e.Field == "idempotency_key" {
		in := *e
		in.Field = "Idempotency-Key"
		return &in
	}
	return under("lead", err)
}

// lead converts a lead; one without a time of its own was made now.
func (s *service) lead(in *pb.Lead) (*record.Lead, error) {
	lead, err := leadIn(in)
	if err != nil {
		return nil, err
	}
	if lead.CreatedAt.IsZero() {
		lead.CreatedAt = s.guard.now().UTC()
	}
	return lead, nil
}

func (s *service) GetDecision(ctx context.Context, req *pb.GetDecisionRequest) (*pb.Decision, error) {
	return call(ctx, s.guard, "GetDecision", ScopeRead, func(ctx context.Context) (*pb.Decision, error) {
		if req.View != "" && req.View != "full" {
			return nil, record.FieldErrorf("view", "%q is not \"full\"", req.View)
		}
		r, err := s.engine.Decision(ctx, record.DecisionID(req.Id))
		if err != nil {
			return nil, err
		}
		return decisionOut(r, req.View == "full"), nil
	})
}

func (s *service) ExplainDecision(ctx context.Context, req *pb.ExplainDecisionRequest) (*pb.Explanation, error) {
	return call(ctx, s.guard, "ExplainDecision", ScopeRead, func(ctx context.Context) (*pb.Explanation, error) {
		x, err := s.engine.Explain(ctx, record.DecisionID(req.Id), record.PartnerID(req.Contrast))
		if err != nil {
			return nil, err
		}
		return explanationOut(x), nil
	})
}

func (s *service) ReplayDecision(ctx context.Context, req *pb.ReplayDecisionRequest) (*pb.ReplayDecisionResponse, error) {
	return call(ctx, s.guard, "ReplayDecision", ScopeAdmin, func(ctx context.Context) (*pb.ReplayDecisionResponse, error) {
		err := s.engine.Replay(ctx, record.DecisionID(req.Id))
		if record.KindOf(err) == record.Conflict {
			return &pb.ReplayDecisionResponse{Difference: err.Error()}, nil
		}
		return &pb.ReplayDecisionResponse{Same: err == nil}, err
	})
}

func (s *service) AcceptOffer(ctx context.Context, req *pb.AcceptOfferRequest) (*pb.Decision, error) {
	return call(ctx, s.guard, "AcceptOffer", ScopeRoute, func(ctx context.Context) (*pb.Decision, error) {
		if _, err := s.engine.Accept(ctx, record.DecisionID(req.Id)); err != nil {
			return nil, err
		}
		r, err := s.engine.Decision(ctx, record.DecisionID(req.Id))
		if err != nil {
			return nil, err
		}
		return decisionOut(r, false), nil
	})
}

func (s *service) DeclineOffer(ctx context.Context, req *pb.DeclineOfferRequest) (*pb.Decision, error) {
	return call(ctx, s.guard, "DeclineOffer", ScopeRoute, func(ctx context.Context) (*pb.Decision, error) {
		r, err := s.engine.Decline(ctx, record.DecisionID(req.Id), req.Reason, req.Comment)
		if err != nil {
			return nil, err
		}
		return decisionOut(r, false), nil
	})
}

func (s *service) ReportOutcome(ctx context.Context, req *pb.ReportOutcomeRequest) (*pb.ReportOutcomeResponse, error) {
	return call(ctx, s.guard, "ReportOutcome", ScopeRoute, func(ctx context.Context) (*pb.ReportOutcomeResponse, error) {
		o, err := outcomeIn(req)
		if err != nil {
			return nil, err
		}
		r, err := s.engine.Outcome(ctx, o)
		if err != nil {
			return nil, err
		}
		return &pb.ReportOutcomeResponse{Event: string(r.Event), RepeatedReport: r.Repeat}, nil
	})
}

func (s *service) IngestEvents(ctx context.Context, req *pb.IngestEventsRequest) (*pb.IngestEventsResponse, error) {
	return call(ctx, s.guard, "IngestEvents", ScopeWrite, func(ctx context.Context) (*pb.IngestEventsResponse, error) {
		events := make([]record.Event, len(req.Events))
		for i, e := range req.Events {
			events[i] = eventIn(e)
		}
		r, err := s.engine.Events(ctx, events)
		if err != nil {
			return nil, err
		}
		return &pb.IngestEventsResponse{Recorded: int32(r.Taken), Repeats: int32(r.Repeats)}, nil
	})
}

func (s *service) PutPartner(ctx context.Context, req *pb.PutPartnerRequest) (*pb.Partner, error) {
	return call(ctx, s.guard, "PutPartner", ScopeWrite, func(ctx context.Context) (*pb.Partner, error) {
		p, err := partnerIn(req.Partner)
		if err != nil {
			return nil, err
		}
		version, err := ifMatch(header(ctx, ifMatchHeader))
		if err != nil {
			return nil, err
		}
		view, err := s.engine.UpsertPartner(ctx, p, version)
		if err != nil {
			return nil, err
		}
		setETag(ctx, view.Version)
		return partnerOut(&view.Partner), nil
	})
}

func (s *service) GetPartner(ctx context.Context, req *pb.GetPartnerRequest) (*pb.Partner, error) {
	return call(ctx, s.guard, "GetPartner", ScopeRead, func(ctx context.Context) (*pb.Partner, error) {
		view, err := s.engine.Partner(ctx, record.PartnerID(req.Id))
		if err != nil {
			return nil, err
		}
		setETag(ctx, view.Version)
		return partnerOut(&view.Partner), nil
	})
}

func (s *service) ListPartners(ctx context.Context, req *pb.ListPartnersRequest) (*pb.ListPartnersResponse, error) {
	return call(ctx, s.guard, "ListPartners", ScopeRead, func(ctx context.Context) (*pb.ListPartnersResponse, error) {
		size, err := pageSize(req.PageSize)
		if err != nil {
			return nil, err
		}
		after, err := tokenIn(req.PageToken)
		if err != nil {
			return nil, err
		}
		page, err := s.engine.Partners(ctx, record.PartnerID(after), size)
		if err != nil {
			return nil, err
		}
		out := &pb.ListPartnersResponse{NextPageToken: tokenOut(string(page.Next))}
		for i := range page.Partners {
			out.Partners = append(out.Partners, partnerOut(&page.Partners[i].Partner))
		}
		return out, nil
	})
}

func (s *service) GetPartnerHealth(ctx context.Context, req *pb.GetPartnerHealthRequest) (*pb.Standing, error) {
	return call(ctx, s.guard, "GetPartnerHealth", ScopeRead, func(ctx context.Context) (*pb.Standing, error) {
		st, err := s.engine.Health(ctx, record.PartnerID(req.Id))
		if err != nil {
			return nil, err
		}
		return standingOut(st), nil
	})
}

func (s *service) AtRisk(ctx context.Context, req *pb.AtRiskRequest) (*pb.AtRiskResponse, error) {
	return call(ctx, s.guard, "AtRisk", ScopeRead, func(ctx context.Context) (*pb.AtRiskResponse, error) {
		size, err := pageSize(req.PageSize)
		if err != nil {
			return nil, err
		}
		token, err := tokenIn(req.PageToken)
		if err != nil {
			return nil, err
		}
		all, err := s.engine.AtRisk(ctx, serving.AtRiskQuery{})
		if err != nil {
			return nil, err
		}
		// The token names the last partner shown, so that a list that grew in
		// between neither repeats nor skips those after it.
		from := 0
		if token != "" {
			from = 1 + slices.IndexFunc(all, func(st record.Standing) bool { return string(st.Partner) == token })
			if from == 0 {
				return nil, record.FieldErrorf("page_token", "names a partner that is no longer in the report: ask again without a token")
			}
		}
		to := min(from+size, len(all))
		out := &pb.AtRiskResponse{}
		for i := from; i < to; i++ {
			out.Standings = append(out.Standings, standingOut(&all[i]))
		}
		if to < len(all) && to > 0 {
			out.NextPageToken = tokenOut(string(all[to-1].Partner))
		}
		return out, nil
	})
}

func (s *service) ListModels(ctx context.Context, _ *pb.ListModelsRequest) (*pb.ListModelsResponse, error) {
	return call(ctx, s.guard, "ListModels", ScopeRead, func(ctx context.Context) (*pb.ListModelsResponse, error) {
		models, err := s.engine.Models(ctx)
		if err != nil {
			return nil, err
		}
		out := &pb.ListModelsResponse{}
		for i := range models {
			out.Models = append(out.Models, modelOut(&models[i]))
		}
		return out, nil
	})
}

func (s *service) PromoteModel(ctx context.Context, req *pb.PromoteModelRequest) (*pb.ModelVersion, error) {
	return call(ctx, s.guard, "PromoteModel", ScopeAdmin, func(ctx context.Context) (*pb.ModelVersion, error) {
		if req.Version == "" {
			return nil, record.FieldErrorf("version", "is missing: name the version to promote")
		}
		m, err := s.engine.Promote(ctx, req.Name, req.Version)
		if err != nil {
			return nil, err
		}
		return modelOut(m), nil
	})
}

func (s *service) RollbackModel(ctx context.Context, req *pb.RollbackModelRequest) (*pb.ModelVersion, error) {
	return call(ctx, s.guard, "RollbackModel", ScopeAdmin, func(ctx context.Context) (*pb.ModelVersion, error) {
		m, err := s.engine.Rollback(ctx, req.Name)
		if err != nil {
			return nil, err
		}
		return modelOut(m), nil
	})
}

func modelOut(m *serving.ModelInfo) *pb.ModelVersion {
	return &pb.ModelVersion{Name: m.Name, Version: m.Version, Hash: m.Hash, Current: m.Current, Summary: m.Refused}
}

// Headers that carry meaning, in the lower case of gRPC metadata.
const (
	idempotencyHeader = "idempotency-key"
	ifMatchHeader     = "if-match"
	etagHeader        = "etag"
)

func header(ctx context.Context, name string) string {
	if values := metadata.ValueFromIncomingContext(ctx, name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// ifMatch reads an entity tag of setETag's making.
func ifMatch(tag string) (*uint64, error) {
	if tag == "" {
		return nil, nil
	}
	version, err := strconv.ParseUint(strings.Trim(tag, `"`), 10, 64)
	if err != nil {
		return nil, record.FieldErrorf("If-Match", "%q is not an ETag of this server", tag)
	}
	return &version, nil
}

func setETag(ctx context.Context, version uint64) {
	// Fails only outside a call, where nobody reads the header.
	_ = grpc.SetHeader(ctx, metadata.Pairs(etagHeader, fmt.Sprintf("%q", strconv.FormatUint(version, 10))))
}

func pageSize(n int32) (int, error) {
	switch {
	case n == 0:
		return 100, nil
	case n < 0 || n > serving.MaxPage:
		return 0, record.FieldErrorf("page_size", "%d is not between 1 and %d", n, serving.MaxPage)
	}
	return int(n), nil
}

// tokenOut makes a page token of the last id shown: with a checksum, so that a
// token that is none is told from an id after which there is nothing.
func tokenOut(last string) string {
	if last == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(binary.LittleEndian.AppendUint32([]byte(last), crc32.ChecksumIEEE([]byte(last))))
}

func tokenIn(token string) (string, error) {
	if token == "" {
		return "", nil
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if n := len(b) - crc32.Size; err == nil && n > 0 && binary.LittleEndian.Uint32(b[n:]) == crc32.ChecksumIEEE(b[:n]) {
		return string(b[:n]), nil
	}
	return "", record.FieldErrorf("page_token", "is not a next_page_token of this server")
}
