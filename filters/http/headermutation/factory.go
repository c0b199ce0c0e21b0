package headermutation

import (
	"fmt"
	"os"

	rulesv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/header"
)

// Factory is envoy.filters.http.header_mutation.
func Factory() *extension.Factory {
	return filters.NewHTTP("envoy.filters.http.header_mutation", parse, build, filters.PerRoute(parseRoute))
}

// config is the filter's own.
type config struct {
	*mutations
	reverse bool
}

func build(c *config, bc *filters.BuildContext) (any, error) {
	name, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("host name: %w", err)
	}
	return &filter{name: bc.Name, cfg: c.mutations, reverse: c.reverse, hostname: name}, nil
}

func parse(m *mutationv3.HeaderMutation, _ *extension.Context) (*config, error) {
	c, err := parseMutations(m.Mutations)
	return &config{c, m.MostSpecificHeaderMutationsWins}, err
}

func parseRoute(m *mutationv3.HeaderMutationPerRoute, _ *extension.Context) (*mutations, error) {
	return parseMutations(m.Mutations)
}

func parseMutations(m *mutationv3.Mutations) (*mutations, error) {
	var l fielderr.List
	if len(m.GetQueryParameterMutations()) > 0 {
		l.Addf("mutations.query_parameter_mutations", "not supported")
	}
	c := &mutations{
		request:  parseSteps(&l, "mutations.request_mutations", m.GetRequestMutations()),
		response: parseSteps(&l, "mutations.response_mutations", m.GetResponseMutations()),
	}
	return c, l.Err()
}

func parseSteps(l *fielderr.List, path string, ms []*rulesv3.HeaderMutation) []step {
	var out []step
	for i, m := range ms {
		at := fielderr.Index(path, i)
		switch a := m.GetAction().(type) {
		case *rulesv3.HeaderMutation_Append:
			add, err := route.NewHeaderAdd(a.Append)
			l.Add(at+".append", err)
			out = append(out, step{change: &route.Mutations{Add: []route.HeaderAdd{add}}})
		case *rulesv3.HeaderMutation_Remove:
			l.Add(at+".remove", removable(a.Remove))
			out = append(out, step{change: &route.Mutations{Remove: []header.Name{header.Intern(a.Remove)}}})
		case *rulesv3.HeaderMutation_RemoveOnMatch_:
			s, err := match.NewString(a.RemoveOnMatch.GetKeyMatcher())
			l.Add(at+".remove_on_match.key_matcher", err)
			out = append(out, step{remove: &s})
		default:
			l.Addf(at, "unset (one of append, remove, remove_on_match)")
		}
	}
	return out
}

// removable tells what is wrong with removing a header.
func removable(name string) error {
	if err := match.HeaderName(name); err != nil {
		return err
	}
	if name[0] == ':' || header.Intern(name) == header.Authority {
		return fmt.Errorf("%q: pseudo-headers and host may not be removed", name)
	}
	return nil
}
