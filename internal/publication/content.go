package publication

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Hash returns the name of a content.
func Hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// CheckContent returns an *[Error] when text is not the content that h names.
func (h *Head) CheckContent(text []byte) error {
	if int64(len(text)) != h.Bytes || Hash(text) != h.SHA256 {
		return &Error{Bad, ContentName(h.SHA256), fmt.Errorf("it is not what the head of the ring %s says", h.Ring)}
	}
	return nil
}
