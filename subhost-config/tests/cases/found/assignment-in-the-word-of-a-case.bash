declare -- B=""
