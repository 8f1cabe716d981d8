SECRET='p$ss"w`rd\!'
TOKEN="abc\$def\`ghi\\jkl\"mno"
