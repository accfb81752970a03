// Package serving is the engine: the use cases of Bellwether over one book of
// live state and one durable log.
package serving
