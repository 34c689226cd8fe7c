package prometheus

import "testing"

// FuzzAnswers: whatever a server answers is an error, or values within the bounds.
func FuzzAnswers(f *testing.F) {
	for _, text := range []string{
		`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1.5,"1"],[1e300,"NaN"],[-1,"-Inf"]]}]}}`,
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"2"]}]}}`,
		`{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}`,
		`{"status":"error","errorType":"bad_data","error":"x"}`,
		`{"status":"success","data":{"resultType":"matrix","result":[{"values":[[]]},{"values":[[null,null]]},{"values":null}]}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if list, err := parse(200, text); err == nil && len(list) > maxSamples {
			t.Errorf("%d samples", len(list))
		}
		list, err := parseRange(200, text)
		all := 0
		for _, s := range list {
			all += len(s.Points)
		}
		if err == nil && all > maxSamples {
			t.Errorf("%d values", all)
		}
	})
}
