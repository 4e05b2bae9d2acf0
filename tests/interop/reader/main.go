// Command reader is the stock reader of OTLP files: the JSON unmarshaler that the
// OpenTelemetry Collector's own receivers use, one line at a time.
//
// It reads lines from stdin, refuses unknown fields, and prints one JSON object per span in the
// form that tests/interop/README.md describes.
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"sort"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// maxLine is the longest line that the Collector's receiver takes.
const maxLine = 1 << 20

type pair [2]any

type event struct {
	Name       string `json:"name"`
	Time       string `json:"time"`
	Attributes []pair `json:"attributes"`
}

type link struct {
	TraceID    string `json:"traceId"`
	SpanID     string `json:"spanId"`
	TraceState string `json:"traceState"`
	Flags      uint32 `json:"flags"`
	Attributes []pair `json:"attributes"`
}

type resource struct {
	Attributes []pair `json:"attributes"`
	SchemaURL  string `json:"schemaUrl"`
}

type scope struct {
	Name       string `json:"name"`
	Version    string `json:"version"`
	Attributes []pair `json:"attributes"`
	SchemaURL  string `json:"schemaUrl"`
}

type span struct {
	TraceID      string    `json:"traceId"`
	SpanID       string    `json:"spanId"`
	ParentSpanID string    `json:"parentSpanId"`
	TraceState   string    `json:"traceState"`
	Flags        uint32    `json:"flags"`
	Name         string    `json:"name"`
	Kind         int32     `json:"kind"`
	Start        string    `json:"start"`
	End          string    `json:"end"`
	Attributes   []pair    `json:"attributes"`
	Events       []event   `json:"events"`
	Links        []link    `json:"links"`
	Dropped      [3]uint32 `json:"dropped"`
	Status       [2]any    `json:"status"`
	Resource     resource  `json:"resource"`
	Scope        scope     `json:"scope"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "reader:", err)
		os.Exit(1)
	}
}

func run() error {
	// Unknown fields are refused here, though the Collector passes over them: what we write has none.
	unmarshaler := ptrace.JSONUnmarshaler{DisallowUnknownFields: true}
	out := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(out)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	number := 0
	for lines.Scan() {
		number++
		traces, err := unmarshaler.UnmarshalTraces(lines.Bytes())
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if traces.SpanCount() == 0 {
			return fmt.Errorf("line %d has no span", number)
		}
		if err := dump(traces, encoder); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("after line %d: %w", number, err)
	}
	return out.Flush()
}

func dump(traces ptrace.Traces, encoder *json.Encoder) error {
	for _, rs := range traces.ResourceSpans().All() {
		res := resource{Attributes: attributes(rs.Resource().Attributes()), SchemaURL: rs.SchemaUrl()}
		for _, ss := range rs.ScopeSpans().All() {
			sc := scope{
				Name:       ss.Scope().Name(),
				Version:    ss.Scope().Version(),
				Attributes: attributes(ss.Scope().Attributes()),
				SchemaURL:  ss.SchemaUrl(),
			}
			for _, s := range ss.Spans().All() {
				if err := encoder.Encode(canonical(s, res, sc)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func canonical(s ptrace.Span, res resource, sc scope) span {
	events := make([]event, 0, s.Events().Len())
	for _, e := range s.Events().All() {
		events = append(events, event{e.Name(), nanos(e.Timestamp()), attributes(e.Attributes())})
	}
	links := make([]link, 0, s.Links().Len())
	for _, l := range s.Links().All() {
		links = append(links, link{
			TraceID:    l.TraceID().String(),
			SpanID:     l.SpanID().String(),
			TraceState: l.TraceState().AsRaw(),
			Flags:      l.Flags(),
			Attributes: attributes(l.Attributes()),
		})
	}
	return span{
		TraceID:      s.TraceID().String(),
		SpanID:       s.SpanID().String(),
		ParentSpanID: s.ParentSpanID().String(),
		TraceState:   s.TraceState().AsRaw(),
		Flags:        s.Flags(),
		Name:         s.Name(),
		Kind:         int32(s.Kind()),
		Start:        nanos(s.StartTimestamp()),
		End:          nanos(s.EndTimestamp()),
		Attributes:   attributes(s.Attributes()),
		Events:       events,
		Links:        links,
		Dropped:      [3]uint32{s.DroppedAttributesCount(), s.DroppedEventsCount(), s.DroppedLinksCount()},
		Status:       [2]any{int32(s.Status().Code()), s.Status().Message()},
		Resource:     res,
		Scope:        sc,
	}
}

func nanos(t pcommon.Timestamp) string {
	return strconv.FormatUint(uint64(t), 10)
}

// attributes lists a map's pairs sorted by key.
func attributes(m pcommon.Map) []pair {
	pairs := make([]pair, 0, m.Len())
	for key, v := range m.All() {
		pairs = append(pairs, pair{key, value(v)})
	}
	sort.SliceStable(pairs, func(i, j int) bool { return pairs[i][0].(string) < pairs[j][0].(string) })
	return pairs
}

// value writes a value with its type; doubles by their bits, since text would hide differences.
func value(v pcommon.Value) map[string]any {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return map[string]any{"string": v.Str()}
	case pcommon.ValueTypeInt:
		return map[string]any{"int": strconv.FormatInt(v.Int(), 10)}
	case pcommon.ValueTypeDouble:
		if math.IsNaN(v.Double()) {
			return map[string]any{"double": "nan"}
		}
		return map[string]any{"double": fmt.Sprintf("%016x", math.Float64bits(v.Double()))}
	case pcommon.ValueTypeBool:
		return map[string]any{"bool": v.Bool()}
	case pcommon.ValueTypeBytes:
		return map[string]any{"bytes": hex.EncodeToString(v.Bytes().AsRaw())}
	case pcommon.ValueTypeMap:
		return map[string]any{"map": attributes(v.Map())}
	case pcommon.ValueTypeSlice:
		items := make([]any, 0, v.Slice().Len())
		for _, item := range v.Slice().All() {
			items = append(items, value(item))
		}
		return map[string]any{"list": items}
	default:
		return map[string]any{}
	}
}
