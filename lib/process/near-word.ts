/** What somebody may have meant who wrote something else. */
import { createRequire } from 'node:module'
import type * as Levenshtein from 'fastest-levenshtein'

const load = createRequire(import.meta.url)

/** The word that is nearest to a text, if it is so near that it was probably meant. */
export function nearWord(text: string, words: readonly string[]): string | undefined {
  // Loaded for a mistake only: 0.3 MB of memory in every process.
  const { closest, distance } = load('fastest-levenshtein') as typeof Levenshtein
  const near = closest(text, words)
  return distance(text, near) <= Math.max(2, text.length / 3) ? near : undefined
}
