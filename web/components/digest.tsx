/** A SHA-256 in full, so that it can be compared and selected; on a narrow screen it breaks in the middle. */
export function Digest({ value, testId }: { readonly value: string; readonly testId?: string }) {
  return (
    <span class="digest" data-testid={testId}>
      {value.slice(0, 32)}
      <wbr />
      {value.slice(32)}
    </span>
  )
}
