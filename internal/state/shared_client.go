package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// client is what is used of the library's. With its own types in a Shared, every package above this one would compile
// them once more: ten megabytes for each.
type client interface {
	run(ctx context.Context, s *redis.Script, keys []string, args ...any) (reply []any, err error)
	ping(ctx context.Context) error
	// touch reads a key, which may be missing.
	touch(ctx context.Context, key string) error
	// listen subscribes to a channel until it is closed, and anew after a broken connection.
	listen(ctx context.Context, channel string) (io.Closer, <-chan *redis.Message)
	Close() error
}

// newClient returns a client that gives every answer so long, retries nothing (Run does) and logs nothing (we do).
func newClient(o SharedOptions, patience time.Duration) (client, error) {
	e, err := ParseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("URL of the shared state: %w", err)
	}
	password, err := readPassword(o.PasswordFile)
	if err != nil {
		return nil, err
	}
	redis.SetLogger(noLog{})
	u := &redis.UniversalOptions{
		Addrs: e.Addresses, DB: e.Database, MasterName: e.Master, IsClusterMode: e.Cluster,
		CredentialsProviderContext: func(context.Context) (string, string, error) {
			password, err := readPassword(o.PasswordFile)
			return o.User, password, err
		},
		Protocol: 2, MaxRetries: -1, DialerRetries: 1, PoolSize: 8, ContextTimeoutEnabled: true,
		DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience, PoolTimeout: patience,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if e.SentinelAuth {
		u.SentinelUsername, u.SentinelPassword = o.User, password
	}
	if e.TLS {
		u.TLSConfig, err = tlsConfig(o.CAFile)
	} else if o.CAFile != "" {
		err = errors.New("a CA file for the shared state, but its URL isn't rediss:// or valkeys://")
	}
	if err != nil {
		return nil, err
	}
	return redisClient{redis.NewUniversalClient(u)}, nil
}

type redisClient struct{ redis.UniversalClient }

func (c redisClient) run(ctx context.Context, s *redis.Script, keys []string, args ...any) ([]any, error) {
	return s.Run(ctx, c, keys, args...).Slice()
}

func (c redisClient) ping(ctx context.Context) error { return c.Ping(ctx).Err() }

func (c redisClient) touch(ctx context.Context, key string) error {
	if err := c.Get(ctx, key).Err(); !errors.Is(err, redis.Nil) {
		return err
	}
	return nil
}

func (c redisClient) listen(ctx context.Context, channel string) (io.Closer, <-chan *redis.Message) {
	sub := c.Subscribe(ctx, channel)
	return sub, sub.Channel()
}

// noLog silences the client library, which would log addresses and states by itself.
type noLog struct{}

func (noLog) Printf(context.Context, string, ...any) {}
