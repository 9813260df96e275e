package state

// LeastACL returns the line of an ACL file for a user with which an instance with this prefix can do all that it does,
// and nothing else; a password is to be added (>PASSWORD).
func LeastACL(user, prefix string) string {
	if prefix == "" {
		prefix = DefaultPrefix
	}
	return "user " + user + " on resetkeys ~{" + prefix + ":* resetchannels &{" + prefix + ":* -@all" +
		" +hello +ping +select +info +time +evalsha +eval +get +set +strlen +pexpire" +
		" +zadd +zrem +zscore +zrange +zrangebyscore +zrevrangebyscore +publish +subscribe" +
		" +command +cluster|slots" // these two for a Cluster
}
