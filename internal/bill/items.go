package bill

// State says what becomes of an item of a real bill.
type State string

// The states of items.
const (
	Modelled State = "modelled"             // computed from quantities and the tables
	FromBill State = "taken from the bill"  // only the bill has it: `report --billing` shows it
	NotCount State = "not counted, because" // left out; Why says why
)

// Item is one item of a real bill.
type Item struct {
	Name     string // a value of Meter.Item, or a name of its own where nothing is computed
	What     string // what is billed
	State    State
	Why      string // where the quantity comes from, or why it is not counted
	Quantity string // bytes, requests, byte-months, hours; "" when nothing is computed
}

// Items lists every item of a real bill. docs/cost.md shows the list.
func (b *Book) Items() []Item { return nil }
