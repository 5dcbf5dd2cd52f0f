package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrNotFound says that no row has the given key.
var ErrNotFound = errors.New("store: not found")

type Entry struct {
	Key       string    `json:"key"`
	Value     []byte    `json:"value,omitempty"`
	UpdatedAt time.Time `json:"updated_at"`
}

type Store struct {
	mu    sync.RWMutex
	db    *sql.DB
	cache map[string]Entry
}

func Open(ctx context.Context, dsn string) (*Store, error) {
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", dsn, err)
	}
	if err := db.PingContext(ctx); err != nil {
		return nil, err
	}
	return &Store{db: db, cache: make(map[string]Entry, 128)}, nil
}

func (s *Store) Get(ctx context.Context, key string) (Entry, error) {
	s.mu.RLock()
	entry, ok := s.cache[key]
	s.mu.RUnlock()
	if ok && time.Since(entry.UpdatedAt) < 30*time.Second {
		return entry, nil
	}
	row := s.db.QueryRowContext(ctx, `SELECT value, updated_at FROM entries WHERE key = $1`, key)
	if err := row.Scan(&entry.Value, &entry.UpdatedAt); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			return Entry{}, ErrNotFound
		}
		return Entry{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cache[key] = entry
	return entry, nil
}
