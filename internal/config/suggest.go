package config

import "fmt"

// maxDistance is how many slips of the keyboard an unknown name may be away from the known one.
const maxDistance = 2

// Suggest returns the end of an error about an unknown name: the known name that was probably meant; "" if none is
// near. Of a short name half the letters must be right, or anything would do.
func Suggest(name string, known []string) string {
	best, nearest := min(maxDistance, len(name)/2)+1, ""
	for _, k := range known {
		if d := distance(name, k); d < best {
			best, nearest = d, k
		}
	}
	if nearest == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %s?", nearest)
}

// distance returns how many bytes have to be inserted, deleted or replaced to make a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
