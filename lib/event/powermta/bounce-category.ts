/** PowerMTA's own bounce categories (`bounceCat`). Operators add others. */
export const bounceCategories = [
  'bad-configuration',
  'bad-connection',
  'bad-domain',
  'bad-mailbox',
  'content-related',
  'inactive-mailbox',
  'invalid-sender',
  'message-expired',
  'no-answer-from-host',
  'other',
  'policy-related',
  'protocol-errors',
  'quota-issues',
  'relaying-issues',
  'routing-errors',
  'spam-related',
  'virus-related',
] as const
export type BounceCategory = (typeof bounceCategories)[number]

const known: ReadonlySet<string> = new Set(bounceCategories)

/**
 * @param bounceCat the field as it stands in the record
 * @returns 'none' for an empty field and the `success` of deliveries, 'own' for a category that the operator made up: nobody knows whether it is hard
 */
export function bounceCategory(bounceCat: string): BounceCategory | 'own' | 'none' {
  const key = bounceCat.trim().toLowerCase()
  if (known.has(key)) return key as BounceCategory
  return key === '' || key === 'success' ? 'none' : 'own'
}
