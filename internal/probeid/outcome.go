package probeid

// Outcome is what an instance makes of the identity of a request.
type Outcome uint8

// The outcomes.
const (
	// Absent: the request has no identity. It is an ordinary client's.
	Absent Outcome = iota
	// Accepted: the request is answered as a client at the claimed address would be.
	Accepted
	// Malformed: the header cannot be read, comes twice, or claims an address that no client can have.
	Malformed
	// Expired: its time is more than [Life] from this instance's clock.
	Expired
	// ForeignKey: it names a key that the config does not have.
	ForeignKey
	// Forged: the signature does not fit the request.
	Forged
	// Replayed: this instance has accepted it before.
	Replayed
	// Limited: there are too many identities now. It may be good.
	Limited
	numOutcomes
)

var outcomeNames = [numOutcomes]string{
	"absent", "accepted", "malformed", "expired", "foreign-key", "forged", "replayed", "limited",
}

// String returns the metric label.
func (o Outcome) String() string { return outcomeNames[o] }

// Outcomes lists the closed set of outcomes of requests that have an identity.
func Outcomes() []Outcome {
	return []Outcome{Accepted, Malformed, Expired, ForeignKey, Forged, Replayed, Limited}
}
