package bootstrap

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
)

// Stats is what the bootstrap says about statistics (Envoy: stats_config,
// stats_flush_interval, stats_flush_on_admin).
type Stats struct {
	// FlushInterval is how long an interval of histograms is; 5 s unless set. With FlushOnAdmin an interval ends when somebody
	// looks instead.
	FlushInterval time.Duration
	FlushOnAdmin  bool
	// Version is what server.version shows; 0 is the program's own (stats_server_version_override).
	Version uint64
	// Keep tells by its full name whether a statistic is shown; nil keeps all (stats_matcher).
	Keep func(name string) bool
	// Tags are labels taken out of names by expressions, Fixed labels of every statistic (stats_tags).
	Tags  []StatsTag
	Fixed [][2]string
	// NoDefaultTags leaves the well-known labels in the names (use_all_default_tags: false).
	NoDefaultTags bool
	// Buckets are bounds of histograms by name, the first that matches (histogram_bucket_settings).
	Buckets []StatsBuckets
}

// A StatsTag is a label: the first group of the expression is cut out of the name, the second or else the first is the value.
type StatsTag struct {
	Name  string
	Regex *regexp.Regexp
}

// StatsBuckets are the upper bounds of the buckets of histograms by name.
type StatsBuckets struct {
	Match  match.String
	Bounds []float64
}

// defaultFlush is Envoy's stats_flush_interval.
const defaultFlush = 5 * time.Second

func (d *decoder) stats() Stats {
	s := Stats{FlushInterval: defaultFlush, FlushOnAdmin: d.m.GetStatsFlushOnAdmin(), Version: d.m.GetStatsServerVersionOverride().GetValue()}
	if i := d.m.GetStatsFlushInterval(); i != nil {
		s.FlushInterval = i.AsDuration()
	}
	c := d.m.GetStatsConfig()
	if u := c.GetUseAllDefaultTags(); u != nil {
		s.NoDefaultTags = !u.GetValue()
	}
	for i, t := range c.GetStatsTags() {
		d.statsTag(&s, t, "stats_config.stats_tags["+strconv.Itoa(i)+"]")
	}
	s.Keep = d.statsMatcher(c.GetStatsMatcher(), "stats_config.stats_matcher")
	for i, h := range c.GetHistogramBucketSettings() {
		path := "stats_config.histogram_bucket_settings[" + strconv.Itoa(i) + "]"
		m, err := match.NewString(h.GetMatch())
		if err != nil {
			d.failures(path+".match", err)
			continue
		}
		if len(h.GetBuckets()) == 0 {
			continue // bins alone: of histograms in Prometheus' native format
		}
		if !slices.IsSorted(h.GetBuckets()) {
			d.fail(path+".buckets", "bounds must rise")
		}
		s.Buckets = append(s.Buckets, StatsBuckets{m, slices.Compact(slices.Clone(h.GetBuckets()))})
	}
	return s
}

// failures adds everything that a part found wrong with itself.
func (d *decoder) failures(path string, err error) {
	for _, f := range fielderr.All(err) {
		at := path
		if f.Path != "" {
			at += "." + f.Path
		}
		d.errs = append(d.errs, d.x.Wrap(at, f.Err))
	}
}

// lookahead is what RE2 has not and Envoy's std::regex has. Without it an expression matches a little more.
var lookahead = regexp.MustCompile(`\(\?=[^()]*\)`)

func (d *decoder) statsTag(s *Stats, t *metricsv3.TagSpecifier, path string) {
	switch {
	case t.GetTagName() == "":
		d.fail(path+".tag_name", "empty")
	case t.GetFixedValue() != "":
		s.Fixed = append(s.Fixed, [2]string{t.GetTagName(), t.GetFixedValue()})
	case t.GetRegex() == "" && s.NoDefaultTags:
		d.fail(path+".regex", "unset, and the expressions of well-known tags exist only all together (use_all_default_tags)")
	case t.GetRegex() == "": // a well-known tag, which is taken anyway
	default:
		re, err := regexp.Compile(lookahead.ReplaceAllString(t.GetRegex(), ""))
		switch {
		case err != nil:
			d.fail(path+".regex", "%v", err)
		case re.NumSubexp() == 0:
			d.fail(path+".regex", "no group says what to take")
		default:
			s.Tags = append(s.Tags, StatsTag{t.GetTagName(), re})
		}
	}
}

// statsMatcher gives the predicate of a matcher, nil for all.
func (d *decoder) statsMatcher(m *metricsv3.StatsMatcher, path string) func(string) bool {
	var list *matcherv3.ListStringMatcher
	switch k := m.GetStatsMatcher().(type) {
	case *metricsv3.StatsMatcher_RejectAll:
		if k.RejectAll {
			return func(string) bool { return false }
		}
		return nil
	case *metricsv3.StatsMatcher_ExclusionList:
		list, path = k.ExclusionList, path+".exclusion_list"
	case *metricsv3.StatsMatcher_InclusionList:
		list, path = k.InclusionList, path+".inclusion_list"
	default:
		return nil
	}
	one := d.strings(list.GetPatterns(), path+".patterns")
	if m.GetExclusionList() != nil {
		return func(name string) bool { return !one(name) }
	}
	return one
}

// strings tells whether one of the patterns matches.
func (d *decoder) strings(patterns []*matcherv3.StringMatcher, path string) func(string) bool {
	var all []match.String
	for i, p := range patterns {
		s, err := match.NewString(p)
		if err != nil {
			d.failures(fmt.Sprintf("%s[%d]", path, i), err)
			continue
		}
		all = append(all, s)
	}
	return func(s string) bool {
		b := []byte(s)
		for i := range all {
			if all[i].Match(b) {
				return true
			}
		}
		return false
	}
}
