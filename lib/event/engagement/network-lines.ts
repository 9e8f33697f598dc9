/**
 * The networks in a file such as Apple publishes of its relays (egress-ip-ranges.csv: a network at the beginning of each
 * line, then country, region and city; 300,000 lines).
 */
import { readNetwork, type Network } from '../../network/network.ts'

/**
 * @param text lines that begin with a network or an address, followed by nothing or a comma; empty lines and those that
 *   begin with # are skipped
 * @throws Error that names the first line that is no network, or says that there is none
 */
export function* networkLines(text: string): Generator<Network> {
  let isEmpty = true
  let line = 0
  for (let start = 0; start <= text.length; line++) {
    const lineEnd = text.indexOf('\n', start)
    const end = lineEnd < 0 ? text.length : lineEnd
    const comma = text.indexOf(',', start)
    const written = text.slice(start, comma < 0 || comma > end ? end : comma).trim()
    start = end + 1
    if (written === '' || written.startsWith('#')) continue
    const network = readNetwork(written)
    if (!network) throw new Error(`line ${line + 1}: expected a network such as 17.0.0.0/8`)
    isEmpty = false
    yield network
  }
  if (isEmpty) throw new Error('there is no network in it')
}
