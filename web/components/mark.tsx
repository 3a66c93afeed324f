/** The mark: one round, and the one thing that leaves it. */
export function Mark() {
  return (
    <svg class="header-mark" viewBox="0 0 32 32" aria-hidden="true">
      <path class="header-ring" d="M 21.6 6.9 A 11 11 0 1 0 26.4 12.7" />
      <circle class="header-dot" cx="25.4" cy="8.2" r="2.9" />
    </svg>
  )
}
