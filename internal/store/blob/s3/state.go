package s3

import (
	"encoding"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"

	"github.com/kontor-registry/kontor/internal/store/blob"
)

// state is what an upload's row keeps between two requests: four bytes with the
// length of a header, the header as JSON, and the end of the content, where it is
// small.
type state struct {
	UploadID string `json:"id,omitempty"` // of the multipart upload; "" before its first part
	Marker   string `json:"marker,omitempty"`
	Parts    []part `json:"parts,omitempty"`
	Tail     tail   `json:"tail"`
	// Superseded is the tail before this one. It goes when the upload continues:
	// until then it is not known that the row has this state.
	Superseded string `json:"superseded,omitempty"`
	SHA256     []byte `json:"sha256"` // the running hash
	CRC        uint64 `json:"crc"`    // CRC64NVME of all bytes
}

// part is a part as the store acknowledged it. Its number is its place, its size
// partSize of that.
type part struct {
	ETag string `json:"e"`
	CRC  uint64 `json:"c"`
}

// tail is what comes after the parts.
type tail struct {
	Size   int    `json:"size"`
	Object string `json:"object,omitempty"` // the name below uploads/KEY/; "" when it is in the row
	CRC    uint64 `json:"crc,omitempty"`    // of the object
}

// partBytes is the size of all parts together.
func (st *state) partBytes() int64 {
	n := int64(len(st.Parts))
	return min(n, growAfter)*basePart + max(n-growAfter, 0)*maxPart
}

// encode returns the state with the bytes of a tail that has no object.
func (st *state) encode(sum hash.Hash, inline []byte) ([]byte, error) {
	var err error
	if st.SHA256, err = sum.(encoding.BinaryMarshaler).MarshalBinary(); err != nil {
		return nil, err
	}
	header, err := json.Marshal(st)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, 4+len(header)+len(inline))
	out = binary.BigEndian.AppendUint32(out, uint32(len(header))) //nolint:gosec // of at most 10,000 parts
	return append(append(out, header...), inline...), nil
}

// decode reads the state of p into st and sum, and returns the tail that is in it.
// blob.ErrNotFound when it is not a state, or not of p's offset.
func decode(p blob.Progress, st *state, sum hash.Hash) ([]byte, error) {
	if p.Offset == 0 && len(p.State) == 0 {
		return nil, nil
	}
	inline, err := func() ([]byte, error) {
		if len(p.State) < 4 {
			return nil, errors.New("it is too short")
		}
		n, rest := int64(binary.BigEndian.Uint32(p.State)), p.State[4:]
		if n > int64(len(rest)) {
			return nil, errors.New("it is cut off")
		}
		if err := json.Unmarshal(rest[:n], st); err != nil {
			return nil, err
		}
		if err := sum.(encoding.BinaryUnmarshaler).UnmarshalBinary(st.SHA256); err != nil {
			return nil, err
		}
		if len(st.Parts) > maxParts || st.Tail.Size < 0 || st.Tail.Size > partSize(len(st.Parts)) {
			return nil, errors.New("it is larger than an upload can be")
		}
		inline := rest[n:]
		if st.Tail.Object == "" && len(inline) != st.Tail.Size || st.Tail.Object != "" && len(inline) != 0 {
			return nil, errors.New("its end has another length")
		}
		if at := st.partBytes() + int64(st.Tail.Size); at != p.Offset {
			return nil, fmt.Errorf("it ends at byte %d", at)
		}
		return inline, nil
	}()
	if err != nil {
		return nil, fmt.Errorf("%w: its state is of no use: %w", blob.ErrNotFound, err)
	}
	return inline, nil
}
