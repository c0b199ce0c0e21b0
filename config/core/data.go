package core

import (
	"errors"
	"fmt"
	"os"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/weirproxy/weir/config/fielderr"
)

// ReadData reads a DataSource of at most limit bytes; limited is the name of the field that sets the limit, if one does. The error has
// the path of what is wrong.
func ReadData(s *corev3.DataSource, limit uint64, limited string) ([]byte, error) {
	var b []byte
	field := ""
	switch s := s.GetSpecifier().(type) {
	case *corev3.DataSource_InlineString:
		b, field = []byte(s.InlineString), "inline_string"
	case *corev3.DataSource_InlineBytes:
		b, field = append(b, s.InlineBytes...), "inline_bytes"
	case *corev3.DataSource_EnvironmentVariable:
		v, ok := os.LookupEnv(s.EnvironmentVariable)
		if !ok {
			return nil, &fielderr.Error{Path: "environment_variable", Err: fmt.Errorf("%s is not set", s.EnvironmentVariable)}
		}
		b, field = []byte(v), "environment_variable"
	case *corev3.DataSource_Filename:
		field = "filename"
		// The size is asked first: the file may be a device or huge.
		st, err := os.Stat(s.Filename)
		switch {
		case err != nil:
		case !st.Mode().IsRegular():
			err = fmt.Errorf("%s is not a regular file", s.Filename)
		case uint64(st.Size()) > limit:
			err = tooLong(int(st.Size()), limit, limited)
		default:
			b, err = os.ReadFile(s.Filename)
		}
		if err != nil {
			return nil, &fielderr.Error{Path: field, Err: err}
		}
	default:
		return nil, errors.New("unset")
	}
	if uint64(len(b)) > limit {
		return nil, &fielderr.Error{Path: field, Err: tooLong(len(b), limit, limited)}
	}
	return b, nil
}

func tooLong(n int, limit uint64, limited string) error {
	if limited != "" {
		limited += " "
	}
	return fmt.Errorf("%d bytes, more than %s%d", n, limited, limit)
}
