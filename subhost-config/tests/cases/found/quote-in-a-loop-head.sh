for ((;';')) do A=1; done
