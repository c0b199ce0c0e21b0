package route

// suggest gives ` (did you mean "x"?)` when one of the names is near, else "".
func suggest(name string, names []string) string {
	best, at := 1+len(name)/3, ""
	for _, n := range names {
		if d := distance(name, n); d <= best && n != "" {
			best, at = d-1, n
		}
	}
	if at == "" {
		return ""
	}
	return ` (did you mean "` + at + `"?)`
}

// distance is Levenshtein's: how many bytes to insert, delete or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diag, row[j] = row[j], min(row[j]+1, row[j-1]+1, diag+cost)
		}
	}
	return row[len(b)]
}
