A=(
  one # first
  # none

  two#three
  'four' ) B=5
