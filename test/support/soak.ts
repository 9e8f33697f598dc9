/** Tests run in a short form with every `npm test`, and in the long one with SOAK=1. */

/** A size of a test: rounds, cases, connections. */
export function sized(short: number, long: number): number {
  return process.env['SOAK'] === '1' ? long : short
}
