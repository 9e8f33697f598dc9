/** Writes a small database in MaxMind's format (MaxMind-DB-spec 2.0), for tests of what reads one. */

export type MmdbValue = string | number | { readonly [name: string]: MmdbValue } | readonly MmdbValue[]

/** @param networks IPv4 networks such as `203.0.113.0/24` and what is known of each */
export function mmdb(networks: Readonly<Record<string, MmdbValue>>): Buffer {
  type Node = [number | Node, number | Node]
  const data: Buffer[] = []
  let dataBytes = 0
  const root: Node = [-1, -1]
  // Leaves: -1 nothing, else -2 - offset of the data.
  for (const [network, value] of Object.entries(networks)) {
    const [address = '', bits = '32'] = network.split('/')
    const number = address.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0)
    let node = root
    for (let bit = 0; bit < Number(bits); bit++) {
      const side = Math.floor(number / 2 ** (31 - bit)) % 2 === 1 ? 1 : 0
      if (bit === Number(bits) - 1) node[side] = -2 - dataBytes
      else {
        if (typeof node[side] === 'number') node[side] = [-1, -1]
        node = node[side]
      }
    }
    const encoded = encode(value)
    data.push(encoded)
    dataBytes += encoded.length
  }
  const nodes: Node[] = []
  const collect = (node: Node) => {
    nodes.push(node)
    for (const child of node) if (typeof child !== 'number') collect(child)
  }
  collect(root)
  const tree = Buffer.alloc(nodes.length * 6)
  for (const [index, node] of nodes.entries()) {
    for (const side of [0, 1] as const) {
      const child = node[side]
      const record =
        typeof child !== 'number'
          ? nodes.indexOf(child)
          : child === -1
            ? nodes.length
            : nodes.length + 16 + (-2 - child)
      tree.writeUIntBE(record, index * 6 + side * 3, 3)
    }
  }
  const metadata = encode({
    node_count: nodes.length,
    record_size: 24,
    ip_version: 4,
    database_type: 'Test-City',
    languages: ['en'],
    binary_format_major_version: 2,
    binary_format_minor_version: 0,
    build_epoch: 1_800_000_000,
    description: { en: 'test' },
  })
  return Buffer.concat([tree, Buffer.alloc(16), ...data, Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1'), metadata])
}

function encode(value: MmdbValue): Buffer {
  if (typeof value === 'string') return Buffer.concat([control(2, Buffer.byteLength(value)), Buffer.from(value)])
  if (typeof value === 'number') {
    if (Number.isInteger(value) && value >= 0) {
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32BE(value)
      return Buffer.concat([control(6, 4), bytes])
    }
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleBE(value)
    return Buffer.concat([control(3, 8), bytes])
  }
  if (Array.isArray(value)) return Buffer.concat([control(11, value.length), ...value.map(encode)])
  const entries = Object.entries(value)
  return Buffer.concat([control(7, entries.length), ...entries.flatMap(([name, item]) => [encode(name), encode(item)])])
}

function control(type: number, size: number): Buffer {
  if (size >= 29) throw new RangeError('texts and maps of at most 28 here')
  return type <= 7 ? Buffer.of((type << 5) | size) : Buffer.of(size, type - 7)
}
